package proxy

import (
	"bytes"
	"io"
	"net/http"
	"strconv"

	"gpt-load/internal/provider"
)

// modelListLimit is the largest model list that is edited, in bytes. The longest known ones have a few hundred KB.
const modelListLimit = 8 << 20

// relayModelList shows the redirected names in the provider's model list.
func (x *exchange) relayModelList(c *call, chosen choice) {
	c.watch.answering()
	raw, err := io.ReadAll(io.LimitReader(c.response.Body, modelListLimit+1))
	if err != nil || len(raw) > modelListLimit {
		x.refuse(http.StatusBadGateway, "model_list_unreadable", "the provider's model list could not be read to its end within "+strconv.Itoa(modelListLimit)+" bytes")
		return
	}
	if isEncoded(c.response.Header) { // it was asked for without compression, and does not care
		raw = provider.DecodePrefix(c.response.Header, raw, modelListLimit)
	}
	edited, err := provider.RewriteModelList(x.format, raw, chosen.p.group.ModelRedirects, chosen.p.group.ModelRedirectStrict)
	if err != nil {
		if chosen.p.group.ModelRedirectStrict {
			x.refuse(http.StatusBadGateway, "model_list_unreadable", "the provider's model list has a form that cannot be narrowed to the group's models")
			return
		}
		edited = raw
	}
	header := c.response.Header
	header.Del("Content-Encoding")
	if !bytes.Equal(edited, raw) {
		header.Del("Etag") // it names other bytes
	}
	header.Set("Content-Length", strconv.Itoa(len(edited)))
	x.commit(c.response)
	x.write(edited, false)
}
