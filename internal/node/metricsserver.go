package node

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/zap"

	"gpt-load/internal/secret"
)

const metricsPath = "/metrics"

// mountMetrics serves the metrics on the main port, to whoever has METRICS_TOKEN.
func (n *node) mountMetrics(e *echo.Echo) {
	if n.Config.Metrics.Token.IsEmpty() {
		return
	}
	handler := n.metrics.Handler()
	e.GET(metricsPath, echo.WrapHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !bearer || !n.Config.Metrics.Token.Equal(secret.New(token)) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="metrics"`)
			http.Error(w, "/metrics wants METRICS_TOKEN as Authorization: Bearer", http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	})))
}

// serveMetrics opens METRICS_PORT, if there is one, and serves until the function that it returns is called. It comes before
// everything that may take long: what a start waits for can be seen.
func (n *node) serveMetrics() (end func(), err error) {
	if n.Config.Metrics.Port == 0 {
		return func() {}, nil
	}
	address := net.JoinHostPort(n.Config.Host, strconv.Itoa(n.Config.Metrics.Port))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s for metrics (HOST, METRICS_PORT): %w", address, err)
	}
	routes := http.NewServeMux()
	routes.Handle("GET "+metricsPath, n.metrics.Handler())
	server := &http.Server{
		Handler: routes, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: zap.NewStdLog(n.Log.Named("metrics")),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := ignoreClosed(server.Serve(listener)); err != nil {
			n.Log.Error("metrics are no longer served", zap.Error(err))
		}
	}()
	n.Log.Info("metrics are served", zap.String("address", listener.Addr().String()), zap.String("path", metricsPath))
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
		<-done
	}, nil
}
