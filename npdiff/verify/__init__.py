"""The laboratory: tools that prove a gradient or a program, npdiff's own or yours."""

from npdiff.verify.pullback import PullbackReport, pullback

__all__ = ["PullbackReport", "pullback"]
