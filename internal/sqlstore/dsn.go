package sqlstore

import (
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"

	"gpt-load/internal/fleet"
)

const acceptedDSN = "a file path such as ./data/gpt-load.db or sqlite:// followed by one; " +
	"postgres://user:password@host:5432/database, postgresql:// or host=... dbname=... for PostgreSQL; " +
	"mysql://user:password@host:3306/database, user:password@tcp(host:3306)/database or user@unix(/path)/database for MySQL and MariaDB"

// address is what a DATABASE_DSN names; one of its fields is set.
type address struct {
	file     string
	postgres *pgx.ConnConfig
	mysql    *mysql.Config
}

var (
	// keywordForm is PostgreSQL's own form of key words and values.
	keywordForm = regexp.MustCompile(`(^|\s)(host|hostaddr|dbname|service)\s*=`)
	// driverForm is that of the Go driver for MySQL: an account, a network with an address in parentheses, a database.
	driverForm = regexp.MustCompile(`(^|@)(tcp|tcp6|unix)\(`)
	// accountForm has an account before a host, and no word on what answers there. As a path it would put a password into
	// the name of a file.
	accountForm = regexp.MustCompile(`^[^/\\]*:[^/\\]*@`)
)

// parseDSN never quotes the DSN nor what a driver says of it, because either may show a password.
func parseDSN(dsn string) (address, error) {
	dsn = strings.TrimSpace(dsn)
	scheme, rest, hasScheme := strings.Cut(dsn, "://")
	if strings.ContainsAny(scheme, "@/=( ") { // of a parameter or a password
		hasScheme = false
	}
	switch {
	case hasScheme:
		switch strings.ToLower(scheme) {
		case "sqlite":
			return fileAddress(rest)
		case "postgres", "postgresql":
			return postgresAddress(strings.ToLower(scheme) + "://" + rest)
		case "mysql":
			return mysqlURL(rest)
		}
		return address{}, badDSN("names a kind of database that is not known")
	case driverForm.MatchString(dsn):
		return mysqlAddress(dsn)
	case keywordForm.MatchString(dsn):
		return postgresAddress(dsn)
	case accountForm.MatchString(dsn):
		return address{}, badDSN("names an account at a host, and not what kind of database answers there")
	}
	return fileAddress(dsn)
}

func fileAddress(path string) (address, error) {
	switch {
	case path == "":
		return address{}, badDSN("is empty")
	case path == ":memory:" || strings.HasPrefix(path, "file:"):
		return address{}, badDSN("must be a plain path: a database in memory would lose its keys, and parameters are set by GPT-Load")
	case strings.ContainsRune(path, 0):
		return address{}, badDSN("holds a NUL byte")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return address{}, fleet.NewError(fleet.CodeInvalid, "DATABASE_DSN: finding the working folder of a relative path", err)
	}
	return address{file: abs}, nil
}

func postgresAddress(dsn string) (address, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return address{}, badDSN("cannot be read as an address of PostgreSQL: check host, port, sslmode and the files it names, and write special characters of the password as %XX in a URL or quoted between key words")
	}
	if config.Database == "" {
		return address{}, badDSN("names no database")
	}
	return address{postgres: config}, nil
}

func mysqlAddress(dsn string) (address, error) {
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return address{}, badDSN("cannot be read as an address of MySQL: check network, address, tls and the other parameters")
	}
	if config.DBName == "" {
		return address{}, badDSN("names no database")
	}
	return address{mysql: config}, nil
}

// mysqlURL reads user:password@host:port/database?parameters. The parameters are those of the driver's own form.
func mysqlURL(rest string) (address, error) {
	u, err := url.Parse("mysql://" + rest)
	if err != nil || u.Host == "" {
		return address{}, badDSN("cannot be read as a URL: write special characters of the password as %XX")
	}
	database := strings.TrimPrefix(u.Path, "/")
	if database == "" || strings.Contains(database, "/") {
		return address{}, badDSN("names no database")
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "3306")
	}
	a, err := mysqlAddress("tcp(" + host + ")/" + url.PathEscape(database) + "?" + u.RawQuery)
	if err != nil {
		return address{}, err
	}
	a.mysql.User = u.User.Username()
	a.mysql.Passwd, _ = u.User.Password()
	return a, nil
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
