package rediscluster

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// acceptedForms is what the operator reads when REDIS_DSN is none of them. The DSN itself is never quoted: it holds the
// password.
const acceptedForms = `the forms are
  redis://[user:password@]host[:port][/database]                                  one server; rediss:// with TLS
  redis://[user:password@]host1:port/?addr=host2:port&addr=host3:port             a Redis Cluster
  redis://[user:password@]sentinel1:port/[database]?master_set=name&addr=sentinel2:port   behind Sentinels
  unix://[user:password@]/path/to/socket[?db=database]                            a socket
and the parameters are addr, master_set, sentinel_username, sentinel_password, db, ca_file, cert_file, key_file and skip_verify; special characters in a user name or password are percent-encoded`

const defaultPort = "6379"

// dsn is REDIS_DSN taken apart.
type dsn struct {
	url    *url.URL
	query  url.Values
	option rueidis.ClientOption
}

// errDSN says what is wrong with the DSN without quoting any of it.
func errDSN(what string) error {
	return fleet.NewError(fleet.CodeInvalid, "REDIS_DSN "+what+"; "+acceptedForms, nil)
}

// parseDSN makes the part of the options that the DSN decides. All errors have code invalid.
func parseDSN(text secret.Text) (rueidis.ClientOption, error) {
	u, err := url.Parse(text.Reveal())
	if err != nil { // it quotes the DSN
		return rueidis.ClientOption{}, errDSN("is not a URL")
	}
	d := dsn{url: u}
	if d.query, err = url.ParseQuery(u.RawQuery); err != nil {
		return rueidis.ClientOption{}, errDSN("has parameters that cannot be read")
	}
	for _, step := range []func() error{d.parameters, d.account, d.addresses, d.database, d.tls} {
		if err := step(); err != nil {
			return rueidis.ClientOption{}, err
		}
	}
	return d.option, nil
}

func (d *dsn) parameters() error {
	if d.url.Fragment != "" || d.url.Opaque != "" {
		return errDSN("is not one of the accepted forms")
	}
	for name, values := range d.query {
		switch name {
		case "addr":
		case "master_set", "sentinel_username", "sentinel_password", "db", "ca_file", "cert_file", "key_file", "skip_verify":
			if len(values) > 1 {
				return errDSN("has the parameter " + name + " twice")
			}
		default:
			return errDSN("has a parameter that is not known")
		}
	}
	d.option.Sentinel.MasterSet = d.query.Get("master_set")
	if d.query.Has("master_set") && d.option.Sentinel.MasterSet == "" {
		return errDSN("has an empty master_set")
	}
	if d.option.Sentinel.MasterSet == "" && (d.query.Has("sentinel_username") || d.query.Has("sentinel_password")) {
		return errDSN("has an account for Sentinels but no master_set")
	}
	return nil
}

func (d *dsn) account() error {
	d.option.Username = d.url.User.Username()
	d.option.Password, _ = d.url.User.Password()
	if d.option.Username != "" && d.option.Password == "" {
		return errDSN("has a user name without a password; a password alone is written as :password@")
	}
	d.option.Sentinel.Username = d.query.Get("sentinel_username")
	d.option.Sentinel.Password = d.query.Get("sentinel_password")
	return nil
}

func (d *dsn) addresses() error {
	if d.url.Scheme == "unix" {
		if d.url.Host != "" || d.url.Path == "" || d.query.Has("addr") || d.query.Has("master_set") {
			return errDSN("has the form of a socket but not only a path; it begins with unix:///, or unix://:password@/")
		}
		d.option.InitAddress = []string{d.url.Path}
		d.option.DialCtxFn = dialUnix
		return nil
	}
	if d.url.Scheme != "redis" && d.url.Scheme != "rediss" {
		return errDSN("begins with none of redis://, rediss:// and unix://")
	}
	d.option.DialCtxFn = dialTCP
	for _, address := range append([]string{d.url.Host}, d.query["addr"]...) {
		host, port, err := net.SplitHostPort(address)
		if err != nil { // without a port
			host, port = strings.Trim(address, "[]"), defaultPort
		}
		if number, err := strconv.Atoi(port); err != nil || number < 1 || number > 65535 || host == "" || strings.ContainsAny(host, ",/@ ") {
			return errDSN("has an address that is not host or host:port")
		}
		d.option.InitAddress = append(d.option.InitAddress, net.JoinHostPort(host, port))
	}
	return nil
}

func (d *dsn) database() error {
	number := d.query.Get("db")
	if path := strings.TrimPrefix(d.url.Path, "/"); d.url.Scheme != "unix" && path != "" {
		if number != "" {
			return errDSN("names the database twice, in its path and as db")
		}
		number = path
	}
	if number == "" {
		return nil
	}
	database, err := strconv.Atoi(number)
	if err != nil || database < 0 {
		return errDSN("names a database that is not a number")
	}
	if database != 0 && len(d.option.InitAddress) > 1 && d.option.Sentinel.MasterSet == "" {
		return errDSN("names a database; a Redis Cluster has database 0 only")
	}
	d.option.SelectDB = database
	return nil
}

// tls sets up TLS as rediss:// asks for: the server's certificate has to be valid for the host of the DSN and signed by an
// authority of the system or of ca_file.
func (d *dsn) tls() error {
	if d.url.Scheme != "rediss" {
		for _, name := range []string{"ca_file", "cert_file", "key_file", "skip_verify"} {
			if d.query.Has(name) {
				return errDSN("has the parameter " + name + " but not rediss://")
			}
		}
		return nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if text := d.query.Get("skip_verify"); text != "" {
		skip, err := strconv.ParseBool(text)
		if err != nil {
			return errDSN("has a skip_verify that is neither true nor false")
		}
		config.InsecureSkipVerify = skip
	}
	if file := d.query.Get("ca_file"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return errDSNFile("ca_file", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return fleet.NewError(fleet.CodeInvalid, "ca_file of REDIS_DSN holds no certificate in PEM form", nil)
		}
	}
	if certificate, key := d.query.Get("cert_file"), d.query.Get("key_file"); certificate != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return errDSNFile("cert_file or key_file", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	d.option.TLSConfig = config
	d.option.Sentinel.TLSConfig = config
	d.option.DialCtxFn = dialTLS
	return nil
}

// errDSNFile names what is wrong with a file, whose path is no secret.
func errDSNFile(parameter string, err error) error {
	return fleet.NewError(fleet.CodeInvalid, "reading "+parameter+" of REDIS_DSN: "+err.Error(), err)
}
