package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"

	"go.uber.org/zap"

	"gpt-load/internal/config"
	"gpt-load/internal/logging"
	"gpt-load/internal/node"
	"gpt-load/internal/secret"
)

// serve runs a node until a signal. It returns 2 for a wrong command line or configuration, and 1 when the node failed.
func serve(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("gpt-load serve", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	file := flags.String("config", "", "YAML file with settings")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Print(usage)
			return 0
		}
		if err == nil {
			err = fmt.Errorf("unexpected word %q", flags.Arg(0))
		}
		fmt.Fprintf(os.Stderr, "gpt-load: %v\n\n%s", err, usage)
		return 2
	}
	cfg, err := config.Load(config.Sources{File: *file})
	if err != nil {
		fmt.Fprintf(os.Stderr, "gpt-load: %v\n", err)
		return 2
	}
	return start(ctx, cfg)
}

func start(ctx context.Context, cfg config.Config) int {
	// Where there is no logger yet.
	failed := func(err error) int {
		fmt.Fprintf(os.Stderr, "gpt-load: %v\n", secret.Redact(err.Error(), cfg.Secrets()...))
		return 1
	}
	made, path := false, ""
	if cfg.AuthKey.IsEmpty() {
		var err error
		if cfg.AuthKey, path, made, err = config.EnsureAuthKey(cfg.DataDir); err != nil {
			return failed(err)
		}
	}
	logFile := ""
	if cfg.Log.ToFile {
		logFile = cfg.Log.FilePath
	}
	secrets := cfg.Secrets()
	log, err := logging.New(logging.Options{
		Level: cfg.Log.Level, Format: cfg.Log.Format, FilePath: logFile, Location: cfg.Location,
		Redact: func(line string) string { return secret.RedactLine(line, secrets...) },
	})
	if err != nil {
		return failed(err)
	}
	defer func() { _ = log.Close() }()
	log.Info("GPT-Load starts", zap.String("version", version()), zap.String("go", runtime.Version()), zap.Int("cpus", runtime.GOMAXPROCS(0)))
	if made {
		log.Info("AUTH_KEY is not set: a strong one was made; it opens the admin API and is the first proxy key", zap.String("stored_in", path))
	}
	for _, warning := range cfg.Warnings() {
		log.Warn(warning)
	}
	if err := node.Run(ctx, node.Options{Config: cfg, Version: version(), Log: log.Logger}); err != nil {
		log.Error("the node ends", zap.Error(err))
		return 1
	}
	log.Info("the node has ended")
	return 0
}
