package main

import (
	"cmp"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"gpt-load/internal/config"
	"gpt-load/internal/secret"
	"gpt-load/pkg/adminclient"
)

// urlVariable names the address of the node or fleet where --url does not.
const urlVariable = "GPT_LOAD_URL"

// How long a command waits for the beginning of an answer: a little longer than the server itself takes at most, so that
// its own explanation arrives.
const (
	dialTimeout = 10 * time.Second
	usualWait   = 45 * time.Second
	longWait    = 11 * time.Minute // imports, tests and changes of many keys
)

// connection says which server a command talks to.
type connection struct {
	url         string // of --url
	authKeyFile string // of --auth-key-file

	address   string // in use, for messages
	keySource string // where the auth key came from, for messages
	authKey   secret.Text
}

// withConnection gives a command and those below it the flags of a connection and of the output.
func (a *app) withConnection(c *cobra.Command) *cobra.Command { return a.withOutput(a.withServer(c)) }

// withServer gives a command and those below it the flags of a connection.
func (a *app) withServer(c *cobra.Command) *cobra.Command {
	flags := c.PersistentFlags()
	flags.StringVar(&a.connection.url, "url", "", "`address` of the node or fleet; otherwise GPT_LOAD_URL, otherwise the node of this machine by HOST and PORT (http://localhost:3001)")
	flags.StringVar(&a.connection.authKeyFile, "auth-key-file", "", "`file` with the auth key; otherwise AUTH_KEY or AUTH_KEY_FILE, otherwise auth-key in DATA_DIR")
	return c
}

// client makes the client of a command. wait bounds the time to the beginning of each answer.
func (a *app) client(wait time.Duration) (*adminclient.Client, error) {
	entries := []string{"HOST", "PORT", "DATA_DIR", "AUTH_KEY"}
	if a.connection.authKeyFile != "" {
		entries = entries[:3]
	}
	cfg, err := config.LoadOnly(config.Sources{File: a.configFile}, entries...)
	if err != nil {
		return nil, usage(err, "")
	}
	base, err := a.connection.baseURL(cfg)
	if err != nil {
		return nil, err
	}
	key, err := a.connection.key(cfg)
	if err != nil {
		return nil, err
	}
	a.connection.authKey = key
	return adminclient.New(base, adminclient.WithAuthKey(key.Reveal()), adminclient.WithHTTPClient(&http.Client{Transport: transport(wait)}))
}

// transport goes through HTTPS_PROXY and its kin, as any client of a web service does.
func transport(wait time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: wait,
		ForceAttemptHTTP2:     true,
	}
}

func (c *connection) baseURL(cfg config.Config) (string, error) {
	base := cmp.Or(c.url, os.Getenv(urlVariable))
	if base == "" {
		if cfg.Port == 0 {
			return "", usage(errors.New("PORT is 0: the node took a free port, which its log names"), "--url or "+urlVariable+" is the address of the node")
		}
		base = localURL(cfg)
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", usage(errors.New("the address of the server must be like http://localhost:3001"), "it comes from --url or "+urlVariable)
	}
	c.address = u.Redacted()
	return base, nil
}

// key finds the auth key. It never comes from the command line, which other users of the machine can read.
func (c *connection) key(cfg config.Config) (secret.Text, error) {
	if c.authKeyFile != "" {
		c.keySource = c.authKeyFile
		key, err := config.AuthKeyFrom(c.authKeyFile)
		if err != nil {
			return key, usage(err, "--auth-key-file names a file with the AUTH_KEY of the server")
		}
		return key, nil
	}
	if !cfg.AuthKey.IsEmpty() {
		for _, s := range cfg.Settings() {
			if s.Name == "AUTH_KEY" {
				c.keySource = "AUTH_KEY (" + s.Source + ")"
			}
		}
		return cfg.AuthKey, nil
	}
	key, path, err := config.StoredAuthKey(cfg.DataDir)
	c.keySource = path
	if errors.Is(err, fs.ErrNotExist) {
		return key, usage(errors.New("no auth key: AUTH_KEY is not set, and "+path+" (DATA_DIR) does not exist"), "AUTH_KEY, AUTH_KEY_FILE or --auth-key-file gives it")
	}
	if err != nil {
		return key, usage(err, "")
	}
	return key, nil
}
