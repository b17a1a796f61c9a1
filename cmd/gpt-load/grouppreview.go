package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gpt-load/pkg/adminapi"
)

func (a *app) previewCommand() *cobra.Command {
	var in adminapi.PreviewInput
	var headers []string
	file := ""
	c := a.leaf("preview", "Show what an upstream would get of a request, and send nothing", []string{"GROUP"}, func(ctx context.Context, args []string) error {
		if file != "" {
			content, err := a.readInput(ctx, file)
			if err != nil {
				return err
			}
			if in.Body = json.RawMessage(content); !json.Valid(in.Body) {
				return usage(errors.New(nameOfInput(file)+" is not JSON"), "")
			}
		}
		in.Headers = make(map[string]string, len(headers))
		for _, line := range headers {
			name, value, found := strings.Cut(line, ":")
			if !found {
				return usage(errors.New("--header must be NAME: VALUE"), "") // the word is not repeated: it may be a secret
			}
			in.Headers[name] = strings.TrimSpace(value)
		}
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		g, err := findGroup(ctx, client, args[0])
		if err != nil {
			return err
		}
		p, err := client.Preview(ctx, g.ID, in)
		if err != nil {
			return err
		}
		return a.showPreview(p)
	})
	c.Long = "Shows what an upstream would get of a request after the redirects, overrides and header rules of the group. API_KEY stands\nfor the provider's key. What is left out is taken from the request that tests keys."
	c.Example = "  gpt-load groups preview openai --model fast\n  gpt-load groups preview openai --path /v1/embeddings --body request.json"
	c.Flags().StringVar(&in.Model, "model", "", "`model` that the request asks for, without --body")
	c.Flags().StringVar(&in.Method, "method", "", "HTTP `method`; POST, or GET for a list of models, when left out")
	c.Flags().StringVar(&in.Path, "path", "", "`path` and query below the group; that of the channel when left out")
	c.Flags().StringVar(&file, "body", "", "`file` with the JSON body; - is the standard input")
	c.Flags().StringArrayVar(&headers, "header", nil, "`header` of the client, as NAME: VALUE; repeatable")
	c.ValidArgsFunction = firstWord(a.groupNames, cobra.ShellCompDirectiveNoFileComp)
	return c
}

func (a *app) showPreview(p adminapi.Preview) error {
	if a.wantsJSON() {
		return a.printJSON(p)
	}
	if r := p.Refusal; r != nil {
		return failed(fmt.Sprintf("the group does not take this request: %s (%s, %d)", r.Message, r.Code, r.Status), "")
	}
	lines := []string{p.Method + " " + p.URL}
	for _, name := range slices.Sorted(maps.Keys(p.Headers)) {
		for _, value := range p.Headers[name] {
			lines = append(lines, name+": "+value)
		}
	}
	if p.Body != "" {
		lines = append(lines, "", p.Body)
	}
	for _, line := range lines {
		if err := a.say("%s", line); err != nil {
			return err
		}
	}
	return nil
}
