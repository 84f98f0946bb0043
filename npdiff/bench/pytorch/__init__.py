"""PyTorch as a contender and as a second opinion. Needs PyTorch; nothing else imports it."""
