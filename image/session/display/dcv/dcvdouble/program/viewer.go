package main

import (
	"context"
	"encoding/xml"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// viewer is one connected client.
type viewer struct {
	id    int
	user  string
	leave func(why string)
}

// hello is the first message of the double's page. DCV's own protocol is not known.
type hello struct {
	SessionID string `json:"sessionId"`
	AuthToken string `json:"authToken"`
}

// said is every message to the page.
type said struct {
	Says string `json:"says"`
}

// view serves one client: it asks the token verifier, admits the client, and echoes
// its messages.
func (s *server) view(w http.ResponseWriter, r *http.Request) {
	socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // the origin was looked at
	if err != nil {
		return
	}
	defer func() { _ = socket.CloseNow() }()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	var h hello
	if err := wsjson.Read(ctx, socket, &h); err != nil {
		return
	}
	name, ok := verify(ctx, s.conf.text("security/auth-token-verifier"), h, r.RemoteAddr)
	if !ok {
		log.Printf("[ 1:1 ] WARN  auth - authentication failed")
		_ = socket.Close(websocket.StatusPolicyViolation, "authentication-failed (5)")
		return
	}
	v, refusal := s.enter(h.SessionID, name, func(why string) {
		go func() { _ = socket.Close(websocket.StatusGoingAway, why); cancel() }()
	})
	if refusal != "" {
		_ = socket.Close(websocket.StatusTryAgainLater, refusal)
		return
	}
	log.Printf("[ 1:1 ] INFO  connection - %s entered %s", name, h.SessionID)
	defer s.left(h.SessionID, v)
	if wsjson.Write(ctx, socket, said{"connected as " + name}) != nil {
		return
	}
	for {
		kind, message, err := socket.Read(ctx)
		if err != nil || socket.Write(ctx, kind, message) != nil {
			return
		}
	}
}

// enter adds a viewer to a session. If it is full, the same user's oldest viewer has
// to leave, if the server was started with that option.
func (s *server) enter(id, name string, leave func(string)) (v *viewer, refusal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.sessions, func(open *session) bool { return open.id == id })
	if i < 0 {
		return nil, "The sessionId " + id + " is not available"
	}
	open := s.sessions[i]
	if name != open.owner {
		return nil, "You are not allowed to connect to this session"
	}
	if open.most >= 0 && len(open.connections) >= open.most {
		if s.eviction != "same-user-oldest-connection" || len(open.connections) == 0 {
			return nil, "Maximum number of clients reached"
		}
		open.connections[0].leave("Another client of yours has connected")
		open.connections = open.connections[1:]
	}
	open.next++
	v = &viewer{id: open.next, user: name, leave: leave}
	open.connections = append(open.connections, v)
	return v, ""
}

func (s *server) left(id string, v *viewer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, open := range s.sessions {
		if open.id == id {
			open.connections = slices.DeleteFunc(open.connections, func(other *viewer) bool { return other == v })
			open.left = time.Now()
		}
	}
}

// verify asks the external authenticator, as the administrator guide has it. An
// empty address is DCV's internal verifier, which knows no token.
func verify(ctx context.Context, verifier string, h hello, client string) (name string, ok bool) {
	if verifier == "" {
		return "", false
	}
	address, _, _ := net.SplitHostPort(client)
	form := url.Values{"sessionId": {h.SessionID}, "authenticationToken": {h.AuthToken}, "clientAddress": {address}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, verifier, strings.NewReader(form.Encode()))
	if err != nil {
		return "", false
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", false
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return "", false
	}
	var auth struct {
		Result   string `xml:"result,attr"`
		Username string `xml:"username"`
	}
	if xml.Unmarshal(body, &auth) != nil {
		return "", false
	}
	return auth.Username, auth.Result == "yes"
}
