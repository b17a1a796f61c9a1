package adminhttp

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"gpt-load/internal/fleet"
)

// maxKeyBytes is the longest provider key, the same as in the store. Most have under 200 bytes, a Google service
// account as JSON about 2,400.
const maxKeyBytes = 4096

// scannedKey is one key of an import, or why it is none.
type scannedKey struct {
	line  int // from 1; the place in the list for a JSON list
	value string
	fault string
}

// scanKeys reads keys from a text of any length and calls found for each: those of a JSON list of strings when the
// text begins with "[", else whatever stands between newlines, spaces, tabs, commas and semicolons. It holds one
// key at a time. It stops at the first error of the reader or of found.
func scanKeys(text io.Reader, found func(scannedKey) error) error {
	r := bufio.NewReaderSize(text, 64<<10)
	if bom, _ := r.Peek(3); bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		_, _ = r.Discard(len(bom))
	}
	line := 1
	for {
		c, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if c == '\n' {
			line++
		}
		if isSeparator(c) {
			continue
		}
		if err := r.UnreadByte(); err != nil {
			return err
		}
		if c == '[' {
			return scanKeyList(r, found)
		}
		return scanKeyText(r, line, found)
	}
}

func isSeparator(c byte) bool {
	switch c {
	case '\n', '\r', ' ', '\t', ',', ';':
		return true
	}
	return false
}

func scanKeyText(r *bufio.Reader, line int, found func(scannedKey) error) error {
	var key []byte
	tooLong := false
	finish := func() error {
		if len(key) == 0 {
			return nil
		}
		k := scannedKey{line: line, value: string(key)}
		if tooLong {
			k.value, k.fault = "", fmt.Sprintf("is longer than %d bytes; is this a list of keys?", maxKeyBytes)
		} else {
			k.fault = keyFault(k.value)
		}
		key, tooLong = key[:0], false
		return found(k)
	}
	for {
		c, err := r.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return finish()
		case err != nil:
			return err
		case !isSeparator(c):
			if len(key) < maxKeyBytes {
				key = append(key, c)
			} else {
				tooLong = true
			}
			continue
		}
		if err := finish(); err != nil {
			return err
		}
		if c == '\n' {
			line++
		}
	}
}

func scanKeyList(r io.Reader, found func(scannedKey) error) error {
	decoder := json.NewDecoder(r)
	if _, err := decoder.Token(); err != nil {
		return listFault(err)
	}
	for line := 1; decoder.More(); line++ {
		var item json.RawMessage
		if err := decoder.Decode(&item); err != nil {
			return listFault(err)
		}
		k := scannedKey{line: line}
		if json.Unmarshal(item, &k.value) != nil || item[0] != '"' {
			k.value, k.fault = "", "is not a JSON string"
		} else {
			k.value = strings.TrimSpace(k.value)
			k.fault = keyFault(k.value)
		}
		if err := found(k); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return listFault(err)
	}
	if rest, err := decoder.Token(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = fmt.Errorf("%T behind its end", rest)
		}
		return listFault(err)
	}
	return nil
}

// listFault tells a list that is broken from a reader that is. The decoder's words are not passed on: they may
// quote a key.
func listFault(err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return fleet.NewError(fleet.CodeInvalid, fmt.Sprintf("the text begins like a JSON list but is not one from byte %d on; send a JSON list of strings, or keys with separators between them", syntax.Offset), nil)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fleet.NewError(fleet.CodeInvalid, "the JSON list has no end; was the file cut off?", nil)
	case strings.HasSuffix(err.Error(), "behind its end"):
		return fleet.NewError(fleet.CodeInvalid, "something stands behind the end of the JSON list; send one list only", nil)
	}
	return err
}

// keyFault says why a text cannot be a key, and nothing when it can: what no HTTP header can carry.
func keyFault(value string) string {
	switch {
	case value == "":
		return "is empty"
	case len(value) > maxKeyBytes:
		return fmt.Sprintf("is longer than %d bytes", maxKeyBytes)
	case !utf8.ValidString(value):
		return "is not UTF-8 text"
	case strings.ContainsFunc(value, unicode.IsControl):
		return "holds a control character, which no HTTP header can carry"
	}
	return maskedFault(value)
}
