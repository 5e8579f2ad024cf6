"""What the doctor runs on the host: it looks, tries, measures, and judges nothing; the near side does."""
