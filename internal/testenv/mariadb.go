package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// MariaDBServer is a private MariaDB server with the defaults that are hardest on an application: its character set is
// latin1, names compare without case, and its time zone is an unusual one. It wants a password and offers TLS. It never
// waits for the disk: what it committed outlives its processes, not the machine.
type MariaDBServer struct {
	Process
	Certificate *Certificate
	Password    string

	install, mariadbd, client string // programs
}

// StartMariaDB starts a server whose files lie in dir, and returns when it answers. ctx bounds the start only. The path
// of dir has at most 90 bytes: the server's socket lies in it.
func StartMariaDB(ctx context.Context, dir string) (*MariaDBServer, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if len(dir) > 90 {
		return nil, fmt.Errorf("the path of %s is too long for a socket below it: at most 90 bytes", dir)
	}
	s := &MariaDBServer{Password: rand.Text()}
	for _, need := range []struct {
		path              *string
		program, packages string
	}{
		{&s.install, "mariadb-install-db", "mariadb-server-core"},
		{&s.mariadbd, "mariadbd", "mariadb-server-core"},
		{&s.client, "mariadb", "mariadb-client-core"},
	} {
		if *need.path, err = require(need.program, need.packages); err != nil {
			return nil, err
		}
	}
	s.Process = Process{
		name: "MariaDB", dir: dir, log: filepath.Join(dir, "log"), stopSignal: syscall.SIGTERM, wipe: []string{"data"},
		initialise: s.initialiseData, command: s.command, answers: s.greets,
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if s.Certificate, err = WriteCertificate(dir); err != nil {
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

func (s *MariaDBServer) initialiseData(ctx context.Context) error {
	args := []string{
		"--no-defaults", "--datadir=" + filepath.Join(s.dir, "data"),
		"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
	}
	if os.Geteuid() == 0 {
		args = append(args, "--user=root")
	}
	install := exec.CommandContext(ctx, s.install, args...)
	// In a folder of its own: a server that starts removes the temporary tables of all others from /tmp.
	install.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TMPDIR=" + s.dir}
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("mariadb-install-db: %w\n%s", err, out)
	}
	// Read at each start, before the first connection.
	return os.WriteFile(filepath.Join(s.dir, "account.sql"), []byte(
		"CREATE USER IF NOT EXISTS "+databaseUser+"@'%' IDENTIFIED BY '"+s.Password+"';\n"+
			"GRANT ALL ON *.* TO "+databaseUser+"@'%' WITH GRANT OPTION;\n"), 0o600)
}

func (s *MariaDBServer) command() *exec.Cmd {
	in := func(name string) string { return filepath.Join(s.dir, name) }
	args := []string{
		"--no-defaults", "--datadir=" + in("data"), "--socket=" + s.Socket(), "--pid-file=" + in("pid"),
		"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(s.ports[0].number), "--init-file=" + in("account.sql"),
		"--skip-name-resolve", "--skip-log-bin", "--performance-schema=OFF", "--max-connections=200",
		"--default-time-zone=+05:45", "--tmpdir=" + s.dir,
		"--ssl-cert=" + s.Certificate.CertificateFile, "--ssl-key=" + s.Certificate.KeyFile,
		// Commits reach the kernel and never wait for the disk.
		"--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync", "--innodb-doublewrite=0",
		"--innodb-buffer-pool-size=64M",
	}
	if os.Geteuid() == 0 {
		args = append(args, "--user=root")
	}
	cmd := exec.Command(s.mariadbd, args...)
	cmd.Dir, cmd.Env = s.dir, []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
	return cmd
}

// greets connects and waits for the first bytes: the server speaks first.
func (s *MariaDBServer) greets(ctx context.Context) error {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", s.Address())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 4))
	return err
}

// Address is where the server listens, host:port.
func (s *MariaDBServer) Address() string { return s.ports[0].address() }

// Socket is the path of the server's Unix socket.
func (s *MariaDBServer) Socket() string { return filepath.Join(s.dir, "socket") }

// DSN names a database of this server, in the Go driver's form, without TLS.
func (s *MariaDBServer) DSN(database string) string { return s.DSNAt(s.Address(), database) }

// DSNAt is DSN through another address that leads to this server, such as a TCPProxy's.
func (s *MariaDBServer) DSNAt(address, database string) string {
	return databaseUser + ":" + s.Password + "@tcp(" + address + ")/" + database
}

// SQL runs statements in a database as the mariadb client does and returns what it prints: rows as lines, columns
// parted by tabs. An empty database name chooses none.
func (s *MariaDBServer) SQL(ctx context.Context, database, statements string) (string, error) {
	args := []string{
		"--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--port=" + strconv.Itoa(s.ports[0].number),
		"--user=" + databaseUser, "--default-character-set=utf8mb4", "--batch", "--skip-column-names",
	}
	if database != "" {
		args = append(args, database)
	}
	cmd := exec.CommandContext(ctx, s.client, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "MYSQL_PWD=" + s.Password}
	return runSQL(cmd, statements)
}

// CreateDatabase makes an empty database. The name is put into the statement as it is: lower-case letters, digits, _.
func (s *MariaDBServer) CreateDatabase(ctx context.Context, name string) error {
	_, err := s.SQL(ctx, "", "CREATE DATABASE "+name+";")
	return err
}

// DropDatabase removes a database.
func (s *MariaDBServer) DropDatabase(ctx context.Context, name string) error {
	_, err := s.SQL(ctx, "", "DROP DATABASE IF EXISTS "+name+";")
	return err
}
