package adminhttp

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"gpt-load/internal/fleet"
	"gpt-load/pkg/adminapi"
)

type sessionsEnded struct {
	SetCookie string `header:"Set-Cookie"`
	Body      adminapi.SessionsEnded
}

func (a *API) mountSessions(api huma.API, tags []string) {
	route(api, huma.Operation{
		OperationID: "list-sessions", Method: http.MethodGet, Path: "/sessions", Tags: tags, Summary: "List the sessions that hold, the one used last first",
	}, a.listSessions)
	route(api, huma.Operation{
		OperationID: "end-sessions", Method: http.MethodDelete, Path: "/sessions", Tags: tags, Summary: "Log out everywhere",
		Description: "Ends every session, this one too. Every node stops accepting their cookies within a second; AUTH_KEY as bearer is not affected.",
	}, a.endSessions)
	route(api, huma.Operation{
		OperationID: "end-session", Method: http.MethodDelete, Path: "/sessions/{id}", Tags: tags, Summary: "End one session, on every node within a second",
	}, a.endSession)
}

func (a *API) listSessions(ctx context.Context, _ *struct{}) (*answer[adminapi.SessionList], error) {
	sessions, err := a.Store.Sessions(ctx)
	if err != nil {
		return nil, err
	}
	now, own := a.Clock(), loginOf(ctx).session.ID
	list := adminapi.SessionList{Sessions: []adminapi.SessionDetail{}}
	for _, s := range sessions {
		if end := idleEnd(s); now.Before(end) {
			list.Sessions = append(list.Sessions, adminapi.SessionDetail{
				ID: s.ID, Current: s.ID == own, CreatedAt: wireTime(s.CreatedAt), UsedAt: wireTime(s.UsedAt), ExpiresAt: wireTime(s.ExpiresAt),
				IdleExpiresAt: wireTime(end), ClientIP: s.ClientIP, UserAgent: s.UserAgent,
			})
		}
	}
	return &answer[adminapi.SessionList]{list}, nil
}

func (a *API) endSessions(ctx context.Context, _ *struct{}) (*sessionsEnded, error) {
	ended, err := a.Store.EndSessions(ctx)
	if err != nil {
		return nil, err
	}
	a.live.forgetAll()
	a.streams.wakeUp()
	return &sessionsEnded{SetCookie: a.cookie(callOf(ctx), "", -1).String(), Body: adminapi.SessionsEnded{Ended: ended}}, nil
}

func (a *API) endSession(ctx context.Context, in *struct {
	ID string `path:"id" doc:"Id of the session." maxLength:"64"`
},
) (*answer[adminapi.SessionsEnded], error) {
	ended, err := a.Store.EndSession(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	a.live.forget(in.ID)
	a.streams.wakeUp()
	if !ended {
		return nil, fleet.NewError(fleet.CodeNotFound, "there is no such session; it may have ended", nil)
	}
	return &answer[adminapi.SessionsEnded]{adminapi.SessionsEnded{Ended: 1}}, nil
}
