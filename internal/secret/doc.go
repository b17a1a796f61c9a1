// Package secret holds what keeps secrets from leaving: Text, a string that cannot print itself; Box, which
// seals secrets for the database and makes the digests they are looked up by; and Redact, which takes what
// looks like a secret out of foreign text.
//
// # Sealed form
//
//	v1:<key id>:<base64 of nonce, ciphertext and tag>   AES-256-GCM, made with a passphrase
//	v0:<the text itself>                                made without one
//
// The version tells the algorithm, so that a later one can stand beside it; the key id tells which passphrase
// made it, so that a wrong one is named instead of failing as tampering. The associated data says where the
// sealed text stands (table, row, column), so that one moved to another place does not open there.
//
// # Keys
//
// One argon2id run over the passphrase and the installation's salt gives a master key; HKDF-SHA256 gives one
// subkey for sealing, one for digests and one for the key id. The salt is random for each installation: equal
// passphrases and equal provider keys give different ids and digests in two installations.
//
// Without a passphrase the digests are keyed by the salt alone: they still differ between installations, but
// whoever holds the database can compute them. That database holds the values in clear anyway.
//
// # Two passphrases
//
// While an installation changes its passphrase a Box stands beside another one: it opens what either of them sealed, by
// the key id in the sealed form, and seals with its own. The sealed form without a passphrase counts as one more key, which
// is opened only by who was told so.
package secret
