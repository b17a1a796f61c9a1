package main

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is set by the release build with -ldflags "-X main.release=v2.0.0".
var release string

// version is the release, or what the Go toolchain recorded of the source.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}

func (a *app) versionCommand() *cobra.Command {
	return a.withOutput(a.leaf("version", "Print the version", nil, func(context.Context, []string) error {
		if a.wantsJSON() {
			return a.printJSON(map[string]string{"version": version(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
		}
		return a.say("gpt-load %s", version())
	}))
}
