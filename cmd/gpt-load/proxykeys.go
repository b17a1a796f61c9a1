package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

func (a *app) proxyKeysCommand() *cobra.Command {
	return a.withConnection(a.branch("proxy-keys", "List the keys that clients use, and where each leads", "", a.listProxyKeysCommand(), a.addressesCommand()))
}

// proxyKeyScope narrows the keys of clients.
type proxyKeyScope struct {
	group, fingerprint string
}

func (s *proxyKeyScope) add(c *cobra.Command, a *app) {
	c.Flags().StringVar(&s.group, "group", "", "only keys that open this `group`")
	c.Flags().StringVar(&s.fingerprint, "fingerprint", "", "only the key of this `fingerprint`, as records show it")
	completeWith(c, "group", a.groupNames)
}

// each gets all pages. groupID is that of the group, empty for every one.
func (s *proxyKeyScope) each(ctx context.Context, client *adminclient.Client, reveal bool, show func(page adminapi.ProxyKeyPage, groupID string) error) error {
	filter := adminclient.ProxyKeyFilter{Fingerprint: s.fingerprint, Reveal: reveal, Limit: 200}
	if s.group != "" {
		g, err := findGroup(ctx, client, s.group)
		if err != nil {
			return err
		}
		filter.GroupID = g.ID
	}
	for {
		page, err := client.ProxyKeys(ctx, filter)
		if err != nil {
			return err
		}
		if err := show(page, filter.GroupID); err != nil {
			return err
		}
		if filter.Cursor = page.NextCursor; filter.Cursor == "" {
			return nil
		}
	}
}

func (a *app) listProxyKeysCommand() *cobra.Command {
	var from proxyKeyScope
	reveal := false
	c := a.leaf("list", "List the keys that clients use, with the groups that each opens", nil, func(ctx context.Context, _ []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		list := a.newListing(terminal.Column{Title: "FINGERPRINT"}, terminal.Column{Title: "KEY"}, terminal.Column{Title: "OPENS", Flexible: true})
		err = from.each(ctx, client, reveal, func(page adminapi.ProxyKeyPage, _ string) error {
			names := make(map[string]string, len(page.Groups))
			for _, g := range page.Groups {
				names[g.ID] = g.Name
			}
			for _, k := range page.ProxyKeys {
				value, opens := k.Masked, "every group"
				if reveal {
					value = k.Value
				}
				if !k.EveryGroup {
					opens = strings.Join(mapped(k.GroupIDs, func(id string) string { return nameOf(id, names) }), ", ")
				}
				if err := list.add(k, text(k.Fingerprint), text(value), text(opens)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		return list.end("proxy keys")
	})
	from.add(c, a)
	c.Flags().BoolVar(&reveal, "reveal", false, "show the keys in clear")
	return c
}

func (a *app) addressesCommand() *cobra.Command {
	var from proxyKeyScope
	c := a.leaf("addresses", "List what clients take as base URL for each group", nil, func(ctx context.Context, _ []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		list := a.newListing(terminal.Column{Title: "GROUP"}, terminal.Column{Title: "CHANNEL"}, terminal.Column{Title: "BASE URL OF SDKS"}, terminal.Column{Title: "FIRST PATH", Flexible: true})
		seen := map[string]bool{}
		err = from.each(ctx, client, false, func(page adminapi.ProxyKeyPage, groupID string) error {
			for _, g := range page.Groups {
				if seen[g.ID] || groupID != "" && g.ID != groupID {
					continue
				}
				seen[g.ID] = true
				first := g.Endpoints[0]
				if err := list.add(g, text(g.Name), text(g.Channel), text(g.SDKBaseURL), text(first.Method+" "+first.Path)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		return list.end("groups that a proxy key opens")
	})
	c.Long = "Lists the groups that proxy keys open, with the base URL that the provider's own SDKs take. The setting app_url is the\npublic address of the installation; without it, addresses are those by which this command reached the node."
	from.add(c, a)
	return c
}
