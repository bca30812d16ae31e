"""What can be known before a long run: software, data, a trial on two samples, memory, minutes and disk."""
