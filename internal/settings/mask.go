package settings

import (
	"net/url"
	"strings"

	"gpt-load/internal/secret"
)

// MaskPrefix is what stands for the hidden part of a secret.
const MaskPrefix = "****"

// Mask shows of a secret just enough to recognise it by.
func Mask(t secret.Text) string {
	if t.IsEmpty() {
		return ""
	}
	return MaskPrefix + t.Tail()
}

// Masked is a value as it may be shown to anybody: the text itself of a setting that is no secret, of a proxy's URL all but the
// credentials, of other secrets the last four characters of each in a list.
func (d Descriptor) Masked(text string) string {
	if !d.Secret || text == "" {
		return text
	}
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		if u.User != nil { // of a proxy, what people recognise is its address
			return u.Scheme + "://" + MaskPrefix + "@" + u.Host
		}
		return text
	}
	parts := strings.Split(text, ",")
	for i, part := range parts {
		parts[i] = Mask(secret.New(strings.TrimSpace(part)))
	}
	return strings.Join(parts, ",")
}
