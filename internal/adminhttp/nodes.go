package adminhttp

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"gpt-load/internal/cluster"
	"gpt-load/pkg/adminapi"
)

func (a *API) mountNodes(api huma.API) {
	route(api, huma.Operation{
		OperationID: "list-nodes", Method: http.MethodGet, Path: "/nodes", Tags: []string{"nodes"},
		Summary: "List the nodes of the fleet with role, version, revision in use and load",
	}, a.listNodes)
}

func (a *API) listNodes(ctx context.Context, _ *struct{}) (*answer[adminapi.NodeList], error) {
	self, members, err := a.Nodes.Nodes(ctx)
	list := adminapi.NodeList{Nodes: []adminapi.Node{}, Complete: err == nil}
	if err != nil {
		list.Message = "the other nodes cannot be asked: Redis does not answer"
		members = nil
	}
	listed := []cluster.Member{}
	found := false
	for _, m := range members {
		if m.ID == self.ID { // what it knows of itself is newer than what it announced
			m, found = self, true
		}
		listed = append(listed, m)
	}
	if !found {
		listed = append(listed, self)
	}
	var newest cluster.Member
	for _, m := range listed {
		newest.Revision, newest.KeyRevision = max(newest.Revision, m.Revision), max(newest.KeyRevision, m.KeyRevision)
	}
	for _, m := range listed {
		list.Nodes = append(list.Nodes, wireNode(m, newest, m.ID == self.ID))
	}
	return &answer[adminapi.NodeList]{list}, nil
}

func wireNode(m, newest cluster.Member, self bool) adminapi.Node {
	return adminapi.Node{
		ID: string(m.ID), Self: self, Role: string(m.Role), Version: m.Version, Address: m.Address, Ready: m.Ready, ServingFrom: m.ServingFrom,
		Revision: m.Revision, RevisionLag: newest.Revision - m.Revision,
		KeyRevision: m.KeyRevision, KeyRevisionLag: newest.KeyRevision - m.KeyRevision,
		InFlight: m.InFlight, RecordsWaiting: m.SpoolWaiting, RecordsDropped: m.SpoolDropped,
		StartedAt: m.StartedAt, SeenAt: m.SeenAt, ClockOffsetMS: m.ClockOffset.Milliseconds(),
	}
}
