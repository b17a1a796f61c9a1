package gptload1

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

const acceptedDSN = "a file path for SQLite; postgres://user:password@host:5432/database, or host=... dbname=...; " +
	"user:password@tcp(host:3306)/database, or mysql://user:password@host:3306/database"

// address is what a DSN names; one of its fields is set.
type address struct {
	file     string
	postgres *pgx.ConnConfig
	mysql    *mysql.Config
}

// product is the name for people.
func (a address) product() string {
	switch {
	case a.postgres != nil:
		return "PostgreSQL"
	case a.mysql != nil:
		return "MySQL"
	}
	return "SQLite"
}

// parseDSN takes the DATABASE_DSN of a 1.x installation as it stands, and the forms of this version. Its errors quote
// nothing: a DSN holds a password.
func parseDSN(dsn secret.Text) (address, error) {
	text := strings.TrimSpace(dsn.Reveal())
	scheme, rest, hasScheme := strings.Cut(text, "://")
	if strings.ContainsAny(scheme, "@/=( ") {
		hasScheme = false // it stands inside a password or a parameter
	}
	switch {
	case text == "":
		return address{}, badDSN("is empty")
	case hasScheme:
		switch strings.ToLower(scheme) {
		case "postgres", "postgresql":
			return postgresAddress(text)
		case "mysql":
			return mysqlURL(text)
		case "sqlite":
			return fileAddress(rest)
		}
		return address{}, badDSN("names a kind of database that is not known")
	case strings.Contains(text, "@tcp") || strings.Contains(text, "@unix("):
		return mysqlAddress(text)
	case strings.HasPrefix(text, "host=") || strings.Contains(text, " host=") || strings.Contains(text, "dbname="):
		return postgresAddress(text)
	}
	return fileAddress(strings.TrimPrefix(text, "file:"))
}

func badDSN(what string) error {
	return fleet.NewError(fleet.CodeInvalid, "the DSN of the 1.x database "+what+"; accepted: "+acceptedDSN, nil)
}

// fileAddress finds the file. GPT-Load 1.x took driver parameters behind a question mark; they do not matter for reading.
func fileAddress(path string) (address, error) {
	if _, err := os.Stat(path); err != nil {
		path, _, _ = strings.Cut(path, "?")
	}
	switch {
	case path == "":
		return address{}, badDSN("names no file")
	case strings.Contains(path, ":memory:"):
		return address{}, badDSN("names a database in memory, which ends with its process")
	case strings.ContainsRune(path, 0):
		return address{}, badDSN("holds a NUL byte")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return address{}, fleet.NewError(fleet.CodeInvalid, "finding the working folder of a relative path", err)
	}
	return address{file: abs}, nil
}

func postgresAddress(dsn string) (address, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil { // not passed on: it may quote the DSN
		return address{}, badDSN("is not understood as one of PostgreSQL")
	}
	// One round trip a statement, and no statements that a connection pooler would have to remember.
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	return address{postgres: config}, nil
}

func mysqlURL(dsn string) (address, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Host == "" {
		return address{}, badDSN("is not understood as one of MySQL")
	}
	a, err := mysqlAddress("/" + strings.TrimPrefix(u.EscapedPath(), "/") + "?" + u.RawQuery)
	if err != nil {
		return address{}, err
	}
	password, _ := u.User.Password()
	port := u.Port()
	if port == "" {
		port = "3306"
	}
	a.mysql.User, a.mysql.Passwd, a.mysql.Net, a.mysql.Addr = u.User.Username(), password, "tcp", net.JoinHostPort(u.Hostname(), port)
	return a, nil
}

func mysqlAddress(dsn string) (address, error) {
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return address{}, badDSN("is not understood as one of MySQL")
	}
	if config.DBName == "" {
		return address{}, badDSN("names no database on the MySQL server")
	}
	// The zone of the DSN stays: 1.x wrote its times in it.
	config.ParseTime, config.MultiStatements, config.AllowAllFiles = true, false, false
	config.Logger = &mysql.NopLogger{}
	if config.Timeout == 0 {
		config.Timeout = connectTimeout
	}
	if config.ReadTimeout == 0 {
		config.ReadTimeout = statementTimeout
	}
	return address{mysql: config}, nil
}
