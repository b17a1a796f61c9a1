package testenv

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// databaseUser is the account of the servers' administrator; its password is made up for each server.
const databaseUser = "gptload"

// PostgresServer is a private PostgreSQL server. It wants a password, offers TLS, sorts text by the rules of a language
// and lives in an unusual time zone, as an operator's server may. It never waits for the disk: what it committed
// outlives its processes, not the machine.
type PostgresServer struct {
	Process
	Certificate *Certificate
	Password    string

	bin   string // folder of the programs
	runAs *syscall.SysProcAttr
}

// StartPostgres starts a server whose files lie in dir, and returns when it answers. ctx bounds the start only. For
// root, the server runs as postgres or nobody, who must be able to enter dir.
func StartPostgres(ctx context.Context, dir string) (*PostgresServer, error) {
	initdb, err := require("initdb", "postgresql", "/usr/lib/postgresql/*/bin")
	if err != nil {
		return nil, err
	}
	if initdb, err = filepath.EvalSymlinks(initdb); err != nil {
		return nil, err
	}
	s := &PostgresServer{bin: filepath.Dir(initdb), Password: rand.Text()}
	s.Process = Process{
		name: "PostgreSQL", log: filepath.Join(dir, "log"), stopSignal: syscall.SIGINT, wipe: []string{"data"},
		initialise: s.initdb, command: s.postgres, answers: s.ready,
		afterDeath: func() { removeSharedMemory(filepath.Join(s.dir, "data")) },
	}
	if s.dir, s.runAs, err = ownedDir(dir); err != nil {
		return nil, err
	}
	if s.Certificate, err = WriteCertificate(s.dir); err != nil {
		return nil, err
	}
	if err := s.own(s.Certificate.KeyFile); err != nil {
		return nil, err
	}
	port, err := reservePort()
	if err != nil {
		return nil, err
	}
	s.ports = []*portReservation{port}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// ownedDir prepares dir for a program that refuses to run as root: for root it belongs to another user.
func ownedDir(dir string) (string, *syscall.SysProcAttr, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, err
	}
	if os.Geteuid() != 0 {
		return dir, nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return "", nil, fmt.Errorf("an account other than root to run the server as: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return "", nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return "", nil, err
	}
	for parent := dir; ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if err != nil {
			return "", nil, err
		}
		if parent != dir && info.Mode()&0o001 == 0 {
			return "", nil, fmt.Errorf("user %s cannot enter %s, so the server cannot live in %s: chmod o+x, or choose another directory",
				account.Username, parent, dir)
		}
		if parent == filepath.Dir(parent) {
			break
		}
	}
	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return dir, attr, os.Chown(dir, int(uid), int(gid))
}

// own hands a file to the account of the server.
func (s *PostgresServer) own(path string) error {
	if s.runAs == nil {
		return nil
	}
	return os.Chown(path, int(s.runAs.Credential.Uid), int(s.runAs.Credential.Gid))
}

// program is one of PostgreSQL's own, run as the account of the server.
func (s *PostgresServer) program(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "PGPASSWORD=" + s.Password}
	if s.runAs != nil {
		attr := *s.runAs
		cmd.SysProcAttr = &attr
	}
	return cmd
}

func (s *PostgresServer) initdb(ctx context.Context) error {
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(s.Password+"\n"), 0o600); err != nil {
		return err
	}
	defer func() { _ = os.Remove(secret) }()
	if err := s.own(secret); err != nil {
		return err
	}
	args := []string{
		"-D", "data", "--no-sync", "--username=" + databaseUser, "--pwfile=password",
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8",
	}
	if s.Major() >= 15 {
		// "a" before "B" before "c", as in most operators' databases.
		args = append(args, "--locale-provider=icu", "--icu-locale=en-US")
	}
	if out, err := s.program(ctx, "initdb", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// Major is the server's major version, 0 when it cannot be told.
func (s *PostgresServer) Major() int {
	out, err := exec.Command(filepath.Join(s.bin, "postgres"), "--version").Output()
	if err != nil {
		return 0
	}
	var major int
	if _, err := fmt.Sscanf(string(out), "postgres (PostgreSQL) %d", &major); err != nil {
		return 0
	}
	return major
}

func (s *PostgresServer) postgres() *exec.Cmd {
	args := []string{"-D", "data", "-p", strconv.Itoa(s.ports[0].number)}
	for _, setting := range []string{
		"listen_addresses=127.0.0.1", "unix_socket_directories=" + s.dir, "max_connections=200",
		// Commits reach the kernel and never wait for the disk.
		"fsync=off", "full_page_writes=off",
		// Files below dir instead of segments that would outlive a kill.
		"dynamic_shared_memory_type=mmap",
		"shared_buffers=64MB", "jit=off",
		// POSIX form of UTC+05:45: no time zone files needed.
		"timezone=<+0545>-05:45",
		"ssl=on", "ssl_cert_file=" + s.Certificate.CertificateFile, "ssl_key_file=" + s.Certificate.KeyFile,
	} {
		args = append(args, "-c", setting)
	}
	return s.program(context.Background(), "postgres", args...)
}

// ready reads the state where pg_ctl reads it: the last line of postmaster.pid.
func (s *PostgresServer) ready(context.Context) error {
	text, err := os.ReadFile(filepath.Join(s.dir, "data", "postmaster.pid"))
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	// The file of a killed server stays until the next one has started.
	if lines[0] != strconv.Itoa(s.run.cmd.Process.Pid) {
		return errors.New("postmaster.pid is not written yet")
	}
	if status := strings.TrimSpace(lines[len(lines)-1]); status != "ready" {
		return fmt.Errorf("its state is %q", status)
	}
	return nil
}

// Address is where the server listens, host:port.
func (s *PostgresServer) Address() string { return s.ports[0].address() }

// DSN names a database of this server, without TLS.
func (s *PostgresServer) DSN(database string) string { return s.DSNAt(s.Address(), database) }

// DSNAt is DSN through another address that leads to this server, such as a TCPProxy's.
func (s *PostgresServer) DSNAt(address, database string) string {
	dsn := url.URL{
		Scheme: "postgres", User: url.UserPassword(databaseUser, s.Password), Host: address, Path: "/" + database,
		RawQuery: "sslmode=disable",
	}
	return dsn.String()
}

// SQL runs statements in a database as psql does and returns what it prints: rows as lines, columns parted by |.
func (s *PostgresServer) SQL(ctx context.Context, database, statements string) (string, error) {
	cmd := s.program(ctx, "psql", "-h", "127.0.0.1", "-p", strconv.Itoa(s.ports[0].number), "-U", databaseUser,
		"-d", database, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-")
	return runSQL(cmd, statements)
}

// runSQL gives a client program its statements.
func runSQL(client *exec.Cmd, statements string) (string, error) {
	var out, errs bytes.Buffer
	client.Stdin, client.Stdout, client.Stderr = strings.NewReader(statements), &out, &errs
	if err := client.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", filepath.Base(client.Path), err, errs.String())
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// CreateDatabase makes an empty database. The name is put into the statement as it is: lower-case letters, digits, _.
func (s *PostgresServer) CreateDatabase(ctx context.Context, name string) error {
	_, err := s.SQL(ctx, "postgres", "CREATE DATABASE "+name+";")
	return err
}

// DropDatabase removes a database and ends its sessions.
func (s *PostgresServer) DropDatabase(ctx context.Context, name string) error {
	_, err := s.SQL(ctx, "postgres", "DROP DATABASE IF EXISTS "+name+" WITH (FORCE);")
	return err
}
