package sqlstore

import (
	"net/url"
	"path/filepath"
	"strings"

	"gpt-load/internal/fleet"
)

const acceptedDSN = "a file path such as ./data/gpt-load.db, or sqlite:// followed by one"

// sqlitePath takes the file path out of a DATABASE_DSN.
func sqlitePath(dsn string) (string, error) {
	dsn = strings.TrimSpace(dsn)
	path := dsn
	if scheme, rest, ok := strings.Cut(dsn, "://"); ok {
		if !strings.EqualFold(scheme, "sqlite") {
			return "", badDSN("does not name an SQLite file")
		}
		path = rest
	}
	switch {
	case path == "":
		return "", badDSN("is empty")
	case strings.Contains(path, "@tcp(") || strings.Contains(path, "@unix(") || strings.HasPrefix(path, "host=") || strings.Contains(path, " host="):
		return "", badDSN("names a database server")
	case path == ":memory:" || strings.HasPrefix(path, "file:"):
		return "", badDSN("must be a plain path: a database in memory would lose its keys, and parameters are set by GPT-Load")
	case strings.ContainsRune(path, 0):
		return "", badDSN("holds a NUL byte")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fleet.NewError(fleet.CodeInvalid, "DATABASE_DSN: finding the working folder of a relative path", err)
	}
	return abs, nil
}

func badDSN(what string) error {
	return &fleet.Error{Code: fleet.CodeInvalid, Message: "DATABASE_DSN " + what + "; accepted: " + acceptedDSN}
}

// sqliteURI writes the path as an SQLite URI file name, in which '?', '#' and '%' have a meaning of their own.
func sqliteURI(path string, params url.Values) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // C:/...
		path = "/" + path
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: params.Encode()}
	return u.String()
}
