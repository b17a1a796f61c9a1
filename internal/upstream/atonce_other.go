//go:build !unix

package upstream

import "errors"

// readAtOnce would have to wait here, so that no connection is used twice.
func readAtOnce(uintptr, []byte) (int, error) {
	return 0, errors.ErrUnsupported
}
