package dcv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/intraverse/dcv-sessions/image/session/process"
)

// dcv runs the `dcv` command, which talks to dcvserver over D-Bus.
func (s *Server) dcv(ctx context.Context, args ...string) (string, error) {
	return process.Run(ctx, process.Command{Name: "dcv " + args[0], Path: s.path("/usr/bin/dcv"), Args: args, Env: s.env()})
}

// Description is the output of `dcv describe-session --json`. AWS promises none of its
// fields: releases differ in the fields that they omit and in the form of a time.
type Description struct {
	ID           string    `json:"id"`
	Type         string    `json:"type"`
	Owner        string    `json:"owner"`
	Connections  int       `json:"num-of-connections"`
	X11Display   string    `json:"x11-display"` // empty for a console session
	X11Authority string    `json:"x11-authority"`
	Mode         string    `json:"licensing-mode"`
	Licenses     []License `json:"licenses"`
}

// License is a licence in a Description.
type License struct {
	Product string `json:"product"`
	Status  string `json:"status"`
	Expires string `json:"expiration-date"`
}

func parseDescription(out string) (Description, error) {
	var d Description
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		return d, fmt.Errorf("dcv describe-session: %w", err)
	}
	if d.ID == "" {
		return d, errors.New("dcv describe-session: it names no session")
	}
	return d, nil
}

// Describe returns DCV's description of the session.
func (s *Server) Describe(ctx context.Context) (Description, error) {
	out, err := s.dcv(ctx, "describe-session", sessionID, "--json")
	if err != nil {
		return Description{}, err
	}
	return parseDescription(out)
}

// Licence returns the state of DCV's licence, and an error if it is not in order. The
// session goes on without it, until the thirty days of DCV's demo licence are over.
func (s *Server) Licence(ctx context.Context) (string, error) {
	d, err := s.Describe(ctx)
	if err != nil {
		return "", err
	}
	return d.licence()
}

func (d Description) licence() (found string, fault error) {
	var parts, faults []string
	if d.Mode != "" {
		parts = append(parts, "mode "+d.Mode)
	}
	for _, l := range d.Licenses {
		part := l.Product + " " + l.Status
		if l.Expires != "" {
			part += " until " + l.Expires
		}
		parts = append(parts, part)
		if !strings.EqualFold(l.Status, "licensed") {
			faults = append(faults, fmt.Sprintf("DCV's licence %s is %q instead of \"licensed\"", l.Product, l.Status))
		}
	}
	if strings.EqualFold(d.Mode, "demo") {
		faults = append(faults, "DCV runs on its demo licence, which ends after thirty days")
	}
	found = strings.Join(parts, ", ")
	if found == "" {
		found = "DCV reports no licence"
	}
	if len(faults) > 0 {
		fault = errors.New(strings.Join(faults, "; ") + ": on EC2 the job's role needs s3:GetObject on arn:aws:s3:::dcv-license.REGION/*, " +
			"the host a way to that bucket, and the container the instance's metadata")
	}
	return found, fault
}
