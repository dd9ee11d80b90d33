package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/intraverse/dcv-sessions/components/delivery"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// rollout is the workflow that deploys dev, and the only one that may use the runner
// with dev's rights. GitHub compares the workflow that defines a job, not the
// one that calls it ("Managing access to self-hosted runners using groups").
const rollout = ".github/workflows/rollout.yml"

// gitHub is the repository of a stack, and the token for GitHub's API.
type gitHub struct {
	API        string `yaml:"dcv-sessions:delivery.api"`
	Repository string `yaml:"dcv-sessions:delivery.repository"` // OWNER/NAME
	Ref        string `yaml:"dcv-sessions:delivery.ref"`
	token      string
}

// readGitHub reads the repository from a stack's file.
func readGitHub(file string) (gitHub, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return gitHub{}, err
	}
	stack := struct{ Config gitHub }{gitHub{API: "https://api.github.com", Ref: "main"}}
	if err := yaml.Unmarshal(text, &stack); err != nil {
		return gitHub{}, fmt.Errorf("%s: %w", file, err)
	}
	g := stack.Config
	var f faults.Faults
	f.Check(delivery.ValidRepository(g.Repository), "dcv-sessions:delivery.repository", g.Repository, "OWNER/NAME")
	f.Check(delivery.ValidRef(g.Ref), "dcv-sessions:delivery.ref", g.Ref, "a branch")
	f.Check(delivery.ValidAPI(g.API), "dcv-sessions:delivery.api", g.API, "an https:// URL")
	return g, f.Err(file)
}

// runnerGroup is a runner group of GitHub (REST API, "List self-hosted runner groups
// for an organization").
type runnerGroup struct {
	Name       string
	Restricted bool     `json:"restricted_to_workflows"`
	Workflows  []string `json:"selected_workflows"`
}

// restrictedTo reports whether only jobs of one workflow get the group's runners.
func (g runnerGroup) restrictedTo(workflow string) bool {
	return g.Restricted && slices.Equal(g.Workflows, []string{workflow})
}

func (g runnerGroup) access() string {
	if !g.Restricted {
		return "all workflows"
	}
	return "selected workflows: " + strings.Join(g.Workflows, ", ")
}

// checkRunners returns an error if any workflow but the rollout on its branch may use a
// runner group, or if the repository has runners of its own, which are in no group. It
// prints the other groups that the repository may use.
func (g gitHub) checkRunners(ctx context.Context, group string, out io.Writer) error {
	owner, name, _ := strings.Cut(g.Repository, "/")
	var listed struct {
		Groups []runnerGroup `json:"runner_groups"`
	}
	// A page has 100 groups. If there are more, this one may be missing, which is refused.
	if err := g.get(ctx, "/orgs/"+owner+"/actions/runner-groups?per_page=100&visible_to_repository="+url.QueryEscape(name), &listed); err != nil {
		return fmt.Errorf("runner groups belong to an organization, and reading them takes a token with its permission Self-hosted runners (read): %w", err)
	}
	var own struct {
		Count int `json:"total_count"`
	}
	if err := g.get(ctx, "/repos/"+g.Repository+"/actions/runners", &own); err != nil {
		return fmt.Errorf("reading the repository's own runners takes a token with its permission Administration (read): %w", err)
	}
	var f faults.Faults
	workflow := g.Repository + "/" + rollout + "@refs/heads/" + g.Ref
	i := slices.IndexFunc(listed.Groups, func(other runnerGroup) bool { return other.Name == group })
	if i < 0 {
		f.Add("runner group", group, "a group of "+owner+" that "+g.Repository+" may use")
	} else {
		f.Check(listed.Groups[i].restrictedTo(workflow), "runner group "+group, listed.Groups[i].access(), "selected workflows: "+workflow)
	}
	f.Check(own.Count == 0, "the number of "+g.Repository+"'s own runners", own.Count, "0: any workflow of any branch may name one")
	if err := f.Err("GitHub"); err != nil {
		return err
	}
	fmt.Fprintf(out, "runner group %s: only %s\n", group, workflow)
	for _, other := range listed.Groups {
		if other.Name != group {
			fmt.Fprintf(out, "%s may also use the group %s (%s): its runners must have none of the stack's rights, and be in none of its networks\n",
				g.Repository, other.Name, other.access())
		}
	}
	return nil
}

// get reads one answer of GitHub's API. No error repeats the token.
func (g gitHub) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.API+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/vnd.github+json")
	request.Header.Set("Authorization", "Bearer "+g.token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GitHub answers %s to GET %s", answer.Status, path)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}

// runners checks the runner group of the stack's repository.
func (o options) runners(ctx context.Context, group string) error {
	at, err := readGitHub("Pulumi." + o.stack + ".yaml")
	if err != nil {
		return err
	}
	if at.token, err = readToken(os.Stdin); err != nil {
		return err
	}
	if !tokenPattern.MatchString(at.token) {
		return fmt.Errorf("the token on standard input has %d characters; allowed: one line that matches %s", len(at.token), tokenPattern)
	}
	return at.checkRunners(ctx, group, os.Stdout)
}
