package keyfile

// Check says what is wrong with a key that does not come from a Reader, and nothing when a Reader would take it.
func (k *Key) Check() string { return k.fault() }
