package proxy

import (
	"net/http"
	"testing"
)

func TestCrossOriginHeadersStayOurs(t *testing.T) {
	into := http.Header{"Vary": {"Origin"}, "Access-Control-Allow-Origin": {"https://app.example"}}
	moveResponseHeader(into, http.Header{"Access-Control-Allow-Origin": {"*"}, "Vary": {"Accept"}, "X-A": {"1", "2"}})
	if got := into["Access-Control-Allow-Origin"]; len(got) != 1 || got[0] != "https://app.example" {
		t.Errorf("allowed origin %v", got)
	}
	if got := into["Vary"]; len(got) != 2 || len(into["X-A"]) != 2 {
		t.Errorf("Vary %v, X-A %v", got, into["X-A"])
	}
	plain := http.Header{}
	moveResponseHeader(plain, http.Header{"Access-Control-Allow-Origin": {"*"}, "Vary": {"Accept"}})
	if plain.Get("Access-Control-Allow-Origin") != "*" || plain.Get("Vary") != "Accept" {
		t.Errorf("without CORS of ours the provider's headers pass: %v", plain)
	}
}
