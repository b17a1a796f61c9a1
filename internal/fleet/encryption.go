package fleet

// Encryption is how the secrets of the installation are sealed, as a node sees it.
type Encryption struct {
	// On tells that they are sealed with a key, and do not stand in clear.
	On bool
	// Other tells that this key is the second one of the node, and not the one that it was started with to write with.
	Other bool
	// Second tells that the node reads a second key, too.
	Second bool
	// Changing tells that migrate-keys is not through.
	Changing bool
}
