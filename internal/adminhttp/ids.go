package adminhttp

import (
	"fmt"
	"strconv"
	"strings"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/settings"
	"gpt-load/pkg/adminapi"
)

func idText[ID ~int64](id ID) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(int64(id), 10)
}

func parseID[ID ~int64](text string) (ID, bool) {
	id, err := strconv.ParseInt(text, 10, 64)
	return ID(id), err == nil && id > 0
}

// pathID reads an id that stands in the path; what is no id names nothing.
func pathID[ID ~int64](noun, text string) (ID, error) {
	id, ok := parseID[ID](text)
	if !ok {
		return 0, fleet.NewError(fleet.CodeNotFound, fmt.Sprintf("there is no %s %q; ids are positive numbers", noun, clip(text)), nil)
	}
	return id, nil
}

// filterID reads an optional id of a filter.
func filterID[ID ~int64](field, text string) (ID, error) {
	if text == "" {
		return 0, nil
	}
	id, ok := parseID[ID](text)
	if !ok {
		return 0, invalid(field, "must be an id, which is a positive number")
	}
	return id, nil
}

func invalid(field, message string) error {
	return fleet.InvalidFields([]fleet.FieldError{{Field: field, Message: message}})
}

// mask shows just enough of a secret to recognise it by.
func mask(t secret.Text) string { return settings.Mask(t) }

// RefuseKey says why a value that could be a key is not taken for one; empty when it is.
func RefuseKey(value string) string { return maskedFault(value) }

// maskedFault is for a secret that was sent back as it was shown.
func maskedFault(value string) string {
	if strings.HasPrefix(value, adminapi.MaskPrefix) {
		return "is a masked value; send the secret itself (GET with reveal=true shows it), or leave the member out to keep it"
	}
	return ""
}

// clip keeps an error about a huge value readable.
func clip(s string) string {
	const longest = 40
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "..."
	}
	return s
}
