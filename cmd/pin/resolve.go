package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

var (
	commitPattern = regexp.MustCompile(`^[0-9a-f]{40}$`)
	digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// commit returns the commit of a tag (GitHub REST API, "Get a commit"), also of an
// annotated tag, which has an object of its own.
func (p *pinner) commit(ctx context.Context, repository, tag string) (string, error) {
	header := http.Header{"Accept": {"application/vnd.github.sha"}}
	if p.token != "" {
		header.Set("Authorization", "Bearer "+p.token)
	}
	body, _, err := p.ask(ctx, http.MethodGet, p.github+"/repos/"+repository+"/commits/"+tag, header)
	if err == nil && !commitPattern.Match(body) {
		err = fmt.Errorf("GitHub's answer is no commit: %.60q", body)
	}
	return string(body), err
}

// manifests lists the media types that an image's tag may refer to. The digest of an
// index is valid for every platform (OCI distribution specification).
const manifests = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, " +
	"application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"

// digest returns the digest of an image's manifest, as the registry answers it.
func (p *pinner) digest(ctx context.Context, name, tag string) (string, error) {
	if p.registry == "" {
		return "", errors.New("PIN_REGISTRY is missing: the URL of the registry that has the image")
	}
	if !strings.Contains(name, "/") {
		name = "library/" + name // the namespace of unqualified names
	}
	at, header := p.registry+"/v2/"+name+"/manifests/"+tag, http.Header{"Accept": {manifests}}
	_, answer, err := p.ask(ctx, http.MethodHead, at, header)
	var refused *refusal
	if errors.As(err, &refused) && refused.status == http.StatusUnauthorized {
		token, loginErr := p.login(ctx, refused.challenge)
		if loginErr != nil {
			return "", loginErr
		}
		header.Set("Authorization", "Bearer "+token)
		_, answer, err = p.ask(ctx, http.MethodHead, at, header)
	}
	if err != nil {
		return "", err
	}
	digest := answer.Get("Docker-Content-Digest")
	if !digestPattern.MatchString(digest) {
		return "", fmt.Errorf("the registry's answer has no digest, but %q", digest)
	}
	return digest, nil
}

var challengePart = regexp.MustCompile(`(\w+)="([^"]*)"`)

// login returns a token for anonymous use of a registry, which its challenge asks for.
func (p *pinner) login(ctx context.Context, challenge string) (string, error) {
	parts, query := map[string]string{}, url.Values{}
	for _, m := range challengePart.FindAllStringSubmatch(challenge, -1) {
		parts[m[1]] = m[2]
		if m[1] != "realm" {
			query.Set(m[1], m[2])
		}
	}
	if !strings.HasPrefix(challenge, "Bearer ") || parts["realm"] == "" {
		return "", fmt.Errorf("the registry wants a login of another kind: %q", challenge)
	}
	body, _, err := p.ask(ctx, http.MethodGet, parts["realm"]+"?"+query.Encode(), nil)
	if err != nil {
		return "", err
	}
	var answer struct{ Token string }
	if err := json.Unmarshal(body, &answer); err != nil || answer.Token == "" {
		return "", fmt.Errorf("the registry's login gave no token: %w", err)
	}
	return answer.Token, nil
}

// refusal is an answer other than 200.
type refusal struct {
	at, challenge string
	status        int
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%s answers %d %s", r.at, r.status, http.StatusText(r.status))
}

func (p *pinner) ask(ctx context.Context, method, at string, header http.Header) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, at, nil)
	if err != nil {
		return nil, nil, err
	}
	if header != nil {
		req.Header = header.Clone()
	}
	res, err := p.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, nil, &refusal{at, res.Header.Get("WWW-Authenticate"), res.StatusCode}
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return body, res.Header, err
}
