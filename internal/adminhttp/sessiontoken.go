package adminhttp

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"gpt-load/internal/secret"
)

// sessionSigner makes and checks the tokens in session cookies: "v2.<id of the session>.<MAC>". The key is made of AUTH_KEY, so that
// a change of that ends every session, and reading the database opens none.
type sessionSigner struct{ key []byte }

func newSessionSigner(authKey secret.Text) (sessionSigner, error) {
	key, err := hkdf.Key(sha256.New, []byte(authKey.Reveal()), nil, "gpt-load admin session v2", sha256.Size)
	return sessionSigner{key: key}, err
}

func (s sessionSigner) mac(text string) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

const tokenVersion = "v2."

// issue makes a new session's id and its token.
func (s sessionSigner) issue() (id, token string) {
	id = rand.Text() // 128 bits at least
	return id, s.token(id)
}

func (s sessionSigner) token(id string) string {
	text := tokenVersion + id
	return text + "." + base64.RawURLEncoding.EncodeToString(s.mac(text))
}

// check returns the id that stands in a token of this fleet's.
func (s sessionSigner) check(token string) (id string, ok bool) {
	const longest = 128 // ours have 74 characters
	cut := strings.LastIndexByte(token, '.')
	if cut < 0 || len(token) > longest {
		return "", false
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(token[cut+1:])
	if err != nil || !hmac.Equal(mac, s.mac(token[:cut])) {
		return "", false
	}
	return strings.CutPrefix(token[:cut], tokenVersion)
}

// isAuthKey compares MACs, so that the time tells nothing, not even the length.
func (a *API) isAuthKey(given string) bool {
	return hmac.Equal(a.signer.mac(given), a.signer.mac(a.AuthKey.Reveal()))
}
