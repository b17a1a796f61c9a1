package adminclient

import (
	"context"
	"net/http"

	"gpt-load/pkg/adminapi"
)

// Settings lists every setting; with showSecrets the secret ones are in clear.
func (c *Client) Settings(ctx context.Context, showSecrets bool) (adminapi.SettingList, error) {
	return call[adminapi.SettingList](ctx, c, request{method: http.MethodGet, path: at("settings"), query: reveal(showSecrets)})
}

// ChangeSettings changes the settings that the patch names, all or none; nil goes back to the default.
func (c *Client) ChangeSettings(ctx context.Context, patch adminapi.SettingsPatch) (adminapi.SettingList, error) {
	return c.ChangeSettingsAt(ctx, patch, 0)
}

// ChangeSettingsAt is ChangeSettings for whoever saw them at a revision: ifRevision, unless 0, must be their SettingsRevision, else
// CodePreconditionFailed.
func (c *Client) ChangeSettingsAt(ctx context.Context, patch adminapi.SettingsPatch, ifRevision int64) (adminapi.SettingList, error) {
	return call[adminapi.SettingList](ctx, c, request{method: http.MethodPatch, path: at("settings"), header: ifMatch(ifRevision), json: patch})
}
