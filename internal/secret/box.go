package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Cost of the passphrase: argon2id, one pass over 64 MiB on one lane. It takes about 100 ms on one core and is
// paid once at start. OWASP's floor for argon2id is 19 MiB with two passes. Changing one of these changes every
// derived key, so a change needs a new sealed version.
const (
	argonPasses    = 1
	argonMemoryKiB = 64 << 10
	argonLanes     = 1
)

const (
	masterBytes = 32
	minSalt     = 16 // bytes; RFC 9106 section 3.1 recommends 16
	keyIDBytes  = 4

	sealedPrefix = "v1:"
	plainPrefix  = "v0:"
)

// What Open can meet.
var (
	// ErrOtherKey says that the text was sealed with another passphrase, or with one where there is none now,
	// or without one where there is one now.
	ErrOtherKey = errors.New("sealed with another ENCRYPTION_KEY")
	// ErrBroken says that the text was changed or cut since it was sealed, or does not stand where it was sealed for.
	ErrBroken = errors.New("the sealed text is damaged or stands in the wrong place")
)

// Box seals and opens secrets with one passphrase and makes their digests. It is safe for concurrent use.
type Box struct {
	aead   cipher.AEAD // nil without a passphrase
	lookup []byte
	keyID  string
	prefix string // of what Seal writes, with the key id
	other  *Box   // of Beside; nil for most
}

// NewBox derives the keys. An empty passphrase gives a box that stores in clear but still makes salted digests
// and costs no time. The salt has at least 16 bytes and belongs to the installation.
func NewBox(passphrase Text, salt []byte) (*Box, error) {
	if len(salt) < minSalt {
		return nil, fmt.Errorf("the installation's salt has %d bytes; at least %d are needed", len(salt), minSalt)
	}
	if passphrase.IsEmpty() {
		lookup, err := hkdf.Key(sha256.New, salt, nil, "gpt-load v0 lookup", sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("deriving the lookup key: %w", err)
		}
		return &Box{lookup: lookup, prefix: plainPrefix}, nil
	}
	master := argon2.IDKey([]byte(passphrase.Reveal()), salt, argonPasses, argonMemoryKiB, argonLanes, masterBytes)
	sealing, err := hkdf.Expand(sha256.New, master, "gpt-load v1 sealing", masterBytes)
	if err != nil {
		return nil, fmt.Errorf("deriving the sealing key: %w", err)
	}
	lookup, err := hkdf.Expand(sha256.New, master, "gpt-load v1 lookup", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("deriving the lookup key: %w", err)
	}
	id, err := hkdf.Expand(sha256.New, master, "gpt-load v1 key id", keyIDBytes)
	if err != nil {
		return nil, fmt.Errorf("deriving the key id: %w", err)
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return nil, fmt.Errorf("making the cipher: %w", err)
	}
	// Random nonces of 96 bits are good for 2^32 seals with one key (NIST SP 800-38D section 8.3); a fleet of a
	// million keys is far from it.
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("making the cipher: %w", err)
	}
	keyID := hex.EncodeToString(id)
	return &Box{aead: aead, lookup: lookup, keyID: keyID, prefix: sealedPrefix + keyID + ":"}, nil
}

// Encrypted reports whether the box has a passphrase.
func (b *Box) Encrypted() bool { return b.aead != nil }

// KeyID is 8 hexadecimal digits that tell passphrases apart and give nothing of them away; empty without one.
func (b *Box) KeyID() string { return b.keyID }

// Seal returns the form to store. place is the associated data: where it will stand. Sealing the same text
// twice gives two different results.
func (b *Box) Seal(plain Text, place string) string {
	if b.aead == nil {
		return plainPrefix + plain.Reveal()
	}
	raw := b.aead.Seal(make([]byte, 0, len(plain.Reveal())+b.aead.Overhead()), nil, []byte(plain.Reveal()), []byte(place))
	out := make([]byte, 0, len(b.prefix)+base64.RawStdEncoding.EncodedLen(len(raw)))
	out = append(out, b.prefix...)
	return string(base64.RawStdEncoding.AppendEncode(out, raw))
}

// Beside returns a box that seals and digests as b does and also opens what other sealed: for the time in which an
// installation changes from one passphrase to another. A nil other gives b alone.
func (b *Box) Beside(other *Box) *Box {
	both := *b
	both.other = nil
	if other != nil {
		alone := *other
		alone.other = nil
		both.other = &alone
	}
	return &both
}

// Other is the box that Beside put beside this one, with this one beside it; nil where there is none.
func (b *Box) Other() *Box {
	if b.other == nil {
		return nil
	}
	return b.other.Beside(b)
}

// Sealed reports whether a text is in the form that this box seals with its passphrase; it may still be damaged.
func (b *Box) Sealed(text string) bool { return strings.HasPrefix(text, b.prefix) }

// Open gives back what Seal took, or an error that is ErrOtherKey or ErrBroken. A box with a passphrase does not
// open what was stored in clear: accepting it would let whoever can write the database put in secrets of their own.
func (b *Box) Open(sealed, place string) (Text, error) {
	if b.other != nil && !b.Sealed(sealed) && b.other.Sealed(sealed) {
		return b.other.Open(sealed, place)
	}
	if plain, ok := strings.CutPrefix(sealed, plainPrefix); ok {
		if b.aead != nil {
			return Text{}, fmt.Errorf("%w: it is stored in clear", ErrOtherKey)
		}
		return New(plain), nil
	}
	rest, ok := strings.CutPrefix(sealed, sealedPrefix)
	keyID, body, cut := strings.Cut(rest, ":")
	if !ok || !cut || keyID == "" {
		return Text{}, ErrBroken
	}
	if keyID != b.keyID {
		return Text{}, fmt.Errorf("%w: it names key id %.8q", ErrOtherKey, keyID)
	}
	raw, err := base64.RawStdEncoding.DecodeString(body)
	if err != nil || len(raw) < b.aead.Overhead() {
		return Text{}, ErrBroken
	}
	plain, err := b.aead.Open(raw[:0], nil, raw, []byte(place))
	if err != nil {
		return Text{}, ErrBroken
	}
	return New(string(plain)), nil
}

// Hash is the keyed digest by which a secret is found again: 64 hexadecimal digits of HMAC-SHA256. Equal texts
// give equal digests within one installation and one passphrase.
func (b *Box) Hash(plain Text) string {
	digest := b.digest(plain)
	return hex.EncodeToString(digest[:])
}

// Fingerprint is the first 12 digits of Hash: enough to tell keys apart in records, useless to find them.
func (b *Box) Fingerprint(plain Text) string {
	digest := b.digest(plain)
	return hex.EncodeToString(digest[:6])
}

func (b *Box) digest(plain Text) (digest [sha256.Size]byte) {
	mac := hmac.New(sha256.New, b.lookup)
	mac.Write([]byte(plain.Reveal()))
	mac.Sum(digest[:0])
	return digest
}
