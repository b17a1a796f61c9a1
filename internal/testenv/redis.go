package testenv

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// RedisOptions is how a Redis server differs from a plain one.
type RedisOptions struct {
	// User and Password are what a client has to show; a password alone is the default user's. Empty: none.
	User, Password string
	// TLS: the server speaks nothing else at its address.
	TLS bool
	// ReplicaOf makes it a read-only replica of another server.
	ReplicaOf *RedisServer
	// Conf is further lines of redis.conf, such as "maxmemory 8mb".
	Conf []string

	clusterPort bool // a node of a Redis Cluster
	sentinel    bool // no store, a Sentinel
}

// RedisServer is a private Redis server. It keeps its data over a kill of the process, and does not wait for the disk.
type RedisServer struct {
	Process
	Certificate *Certificate // with TLS only
	options     RedisOptions
	program     string
}

// StartRedis starts a server whose files lie in dir, and returns when it answers; a replica also has its master's data
// then. ctx bounds the start only.
func StartRedis(ctx context.Context, dir string, options RedisOptions) (*RedisServer, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	program, err := require("redis-server", "redis-server")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s := &RedisServer{options: options, program: program}
	s.Process = Process{
		name: "Redis", dir: dir, log: filepath.Join(dir, "log"), stopSignal: syscall.SIGTERM, wipe: []string{"data"},
		initialise: s.configure, command: s.command, answers: s.ready,
		askAgain: true, // while it writes a first append-only file it cannot end, and forgets
	}
	if options.TLS {
		if s.Certificate, err = WriteCertificate(dir); err != nil {
			return nil, err
		}
	}
	for range 2 { // the second is for the talk inside a Redis Cluster
		port, err := reservePort()
		if err != nil {
			return nil, errors.Join(err, s.Stop())
		}
		s.ports = append(s.ports, port)
	}
	err = s.start(ctx)
	if err == nil && options.ReplicaOf != nil {
		err = poll(ctx, func() error { return s.synced(ctx) })
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// configure writes redis.conf anew: a server may have rewritten its own.
func (s *RedisServer) configure(context.Context) error {
	if err := os.MkdirAll(filepath.Join(s.dir, "data"), 0o700); err != nil {
		return err
	}
	port := strconv.Itoa(s.ports[0].number)
	lines := []string{"bind 127.0.0.1", "dir " + filepath.Join(s.dir, "data")}
	if s.options.TLS {
		lines = append(lines, "port 0", "tls-port "+port, "tls-auth-clients no", "tls-replication yes",
			"tls-ca-cert-file "+s.Certificate.AuthorityFile,
			"tls-cert-file "+s.Certificate.CertificateFile, "tls-key-file "+s.Certificate.KeyFile)
	} else {
		lines = append(lines, "port "+port)
	}
	if !s.options.sentinel {
		// The append-only file reaches the kernel with each command and is never rewritten by a child process.
		lines = append(lines, `save ""`, "appendonly yes", "appendfsync no", "auto-aof-rewrite-percentage 0",
			"repl-diskless-sync-delay 0") // a first replica is not kept waiting for a second
	}
	if s.options.clusterPort {
		lines = append(lines, "cluster-enabled yes", "cluster-node-timeout 2000", "cluster-port "+strconv.Itoa(s.ports[1].number))
	}
	switch {
	case s.options.User != "":
		lines = append(lines, "user default off",
			"user "+s.options.User+" on >"+s.options.Password+" ~* &* +@all")
	case s.options.Password != "":
		lines = append(lines, "requirepass "+s.options.Password)
	}
	if master := s.options.ReplicaOf; master != nil {
		lines = append(lines, "replicaof 127.0.0.1 "+strconv.Itoa(master.ports[0].number))
		if master.options.Password != "" {
			lines = append(lines, "masterauth "+master.options.Password)
		}
		if master.options.User != "" {
			lines = append(lines, "masteruser "+master.options.User)
		}
	}
	lines = append(lines, s.options.Conf...)
	return os.WriteFile(filepath.Join(s.dir, "redis.conf"), []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

func (s *RedisServer) command() *exec.Cmd {
	cmd := exec.Command(s.program, filepath.Join(s.dir, "redis.conf"))
	if s.options.sentinel {
		cmd.Args = append(cmd.Args, "--sentinel")
	}
	cmd.Dir, cmd.Env = s.dir, []string{"PATH=" + os.Getenv("PATH")}
	return cmd
}

// ready is an error also while the server reads its data.
func (s *RedisServer) ready(ctx context.Context) error {
	_, err := s.Do(ctx, "PING")
	return err
}

// synced is nil when a replica has its master's data.
func (s *RedisServer) synced(ctx context.Context) error {
	info, err := s.Do(ctx, "INFO", "replication")
	if err == nil && !strings.Contains(info, "master_link_status:up\r\n") {
		err = errors.New("the replica does not have its master's data yet")
	}
	return err
}

// Address is where the server listens, host:port.
func (s *RedisServer) Address() string { return s.ports[0].address() }

// DSN is the server's address with the account that clients need: redis:// or, with TLS, rediss://.
func (s *RedisServer) DSN() string { return s.DSNAt(s.Address()) }

// DSNAt is DSN through another address that leads to this server, such as a TCPProxy's.
func (s *RedisServer) DSNAt(address string) string {
	dsn := url.URL{Scheme: "redis", Host: address, Path: "/0"}
	if s.options.TLS {
		dsn.Scheme = "rediss"
	}
	if s.options.Password != "" {
		dsn.User = url.UserPassword(s.options.User, s.options.Password)
	}
	return dsn.String()
}
