package main

import (
	"context"
	"runtime"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"gpt-load/internal/config"
	"gpt-load/internal/logging"
	"gpt-load/internal/node"
	"gpt-load/internal/secret"
)

func (a *app) serveCommand() *cobra.Command {
	c := a.leaf("serve", "Run a node, until SIGTERM or SIGINT (the default)", nil, func(ctx context.Context, _ []string) error {
		cfg, err := config.Load(config.Sources{File: a.configFile})
		if err != nil {
			return usage(err, "")
		}
		return a.serve(ctx, cfg)
	})
	c.Long = "Runs a node. Every setting also comes from the environment and from .env in the working directory:\n`gpt-load config defaults` and `gpt-load config env` list them all."
	return c
}

func (a *app) serve(ctx context.Context, cfg config.Config) error {
	// Where there is no logger yet.
	early := func(err error) error {
		return failed(secret.Redact(err.Error(), cfg.Secrets()...), "")
	}
	made, path := false, ""
	if cfg.AuthKey.IsEmpty() {
		var err error
		if cfg.AuthKey, path, made, err = config.EnsureAuthKey(cfg.DataDir); err != nil {
			return early(err)
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
		return early(err)
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
		return quiet(exitFailed) // the log has it
	}
	log.Info("the node has ended")
	return nil
}
