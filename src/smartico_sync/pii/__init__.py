"""Personal data: encryptors behind one protocol, and their keys."""
