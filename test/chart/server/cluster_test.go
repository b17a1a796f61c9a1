package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// startTimeout bounds the start of both servers, which takes seconds.
const startTimeout = 2 * time.Minute

// cluster is an API server, and whoever may do everything there.
type cluster struct {
	config  *rest.Config
	client  *kubernetes.Clientset
	dynamic *dynamic.DynamicClient
}

// startCluster starts etcd and the API server that KUBE_APISERVER names; both end with the test.
func startCluster(t *testing.T) cluster {
	t.Helper()
	program := os.Getenv("KUBE_APISERVER")
	if program == "" {
		t.Fatal("KUBE_APISERVER names no program: `./task chart:server` builds it")
	}
	dir := t.TempDir()
	peers, clients, secure := freePort(t), freePort(t), freePort(t)
	etcd := "http://127.0.0.1:" + clients
	start(t, dir, "etcd", "--data-dir", filepath.Join(dir, "etcd"), "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
		"--listen-peer-urls", "http://127.0.0.1:"+peers, "--initial-advertise-peer-urls", "http://127.0.0.1:"+peers,
		"--initial-cluster", "default=http://127.0.0.1:"+peers)

	token := rand.Text()
	keyFile, tokenFile := filepath.Join(dir, "service-accounts.pem"), filepath.Join(dir, "tokens.csv")
	write(t, keyFile, signingKey(t))
	write(t, tokenFile, []byte(token+",admin,1,system:masters\n"))
	start(t, dir, program, "--etcd-servers", etcd, "--secure-port", secure, "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1",
		"--cert-dir", filepath.Join(dir, "certificates"), "--service-account-key-file", keyFile, "--service-account-signing-key-file", keyFile,
		"--service-account-issuer", "https://chart.test", "--token-auth-file", tokenFile, "--authorization-mode", "RBAC",
		"--service-cluster-ip-range", "10.96.0.0/16", "--endpoint-reconciler-type", "none")

	config := &rest.Config{
		Host: "https://127.0.0.1:" + secure, BearerToken: token, QPS: 500, Burst: 500,
		TLSClientConfig: rest.TLSClientConfig{Insecure: true}, // the server makes its certificate itself, on loopback
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	everything, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	c := cluster{config, client, everything}
	c.awaitReady(t)
	return c
}

func (c cluster) awaitReady(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	eventually(t, "the API server is ready", startTimeout, func() error {
		status := 0
		err := c.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&status).Error()
		if err == nil && status != http.StatusOK {
			return fmt.Errorf("status %d", status)
		}
		return err
	})
}

// eventually asks until there is no error.
func eventually(t *testing.T, what string, within time.Duration, ask func() error) {
	t.Helper()
	ticker, deadline := time.NewTicker(100*time.Millisecond), time.After(within)
	defer ticker.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%s: not within %v: %v", what, within, err)
		}
	}
}

// start runs a program until the test ends; what it wrote is shown when the test failed.
func start(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, filepath.Base(program)+".log"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, args...)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(30*time.Second, func() { _ = command.Process.Kill() })
		_ = command.Wait()
		timer.Stop()
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s wrote:\n%s", program, text[max(0, len(text)-4096):])
		}
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// signingKey is what the API server signs tokens of service accounts with.
func signingKey(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
