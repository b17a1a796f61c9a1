package adminapi_test

import (
	"encoding/json"
	"testing"

	"gpt-load/pkg/adminapi"
)

func TestAbsentWeightsAndTiersAreOne(t *testing.T) {
	var in adminapi.GroupInput
	err := json.Unmarshal([]byte(`{"upstreams":[{"url":"a"},{"url":"b","weight":0}],"members":[{"group_id":"1"},{"group_id":"2","weight":0,"tier":2}]}`), &in)
	if err != nil {
		t.Fatal(err)
	}
	if in.Upstreams[0].Weight != 1 || in.Upstreams[1].Weight != 0 {
		t.Errorf("upstreams %+v", in.Upstreams)
	}
	if in.Members[0] != (adminapi.Member{GroupID: "1", Weight: 1, Tier: 1}) || in.Members[1] != (adminapi.Member{GroupID: "2", Tier: 2}) {
		t.Errorf("members %+v", in.Members)
	}
}

func TestPatchSendsOnlyWhatIsSet(t *testing.T) {
	for want, patch := range map[string]adminapi.GroupPatch{
		`{}`:                                {},
		`{"description":""}`:                {Description: new("")},
		`{"upstreams":[]}`:                  {Upstreams: &[]adminapi.Upstream{}},
		`{"settings":{"max_retries":null}}`: {Settings: map[string]any{"max_retries": nil}},
		`{"validation":{"off":false}}`:      {Validation: &adminapi.ValidationPatch{Off: new(false)}},
	} {
		got, err := json.Marshal(patch)
		if err != nil || string(got) != want {
			t.Errorf("got %s, want %s, %v", got, want, err)
		}
		var back adminapi.GroupPatch
		if err := json.Unmarshal(got, &back); err != nil {
			t.Errorf("%s does not read back: %v", got, err)
		}
	}
	for _, bad := range []string{`{"description":null}`, `{"validation":{"model":null}}`, `{"settings":null}`, `[]`} {
		if err := json.Unmarshal([]byte(bad), new(adminapi.GroupPatch)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
