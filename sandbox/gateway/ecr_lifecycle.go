package gateway

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// lifecyclePolicy is a repository's lifecycle policy, in Amazon ECR's own form
// (Amazon ECR user guide, "Lifecycle policy properties in Amazon ECR").
type lifecyclePolicy struct {
	Rules []lifecycleRule `json:"rules"`
}

type lifecycleRule struct {
	Priority    int    `json:"rulePriority"`
	Description string `json:"description"`
	Selection   struct {
		TagStatus     string   `json:"tagStatus"`
		TagPrefixList []string `json:"tagPrefixList"`
		CountType     string   `json:"countType"`
		CountNumber   int      `json:"countNumber"`
	} `json:"selection"`
	Action struct {
		Type string `json:"type"`
	} `json:"action"`
}

// The values that the sandbox knows: a rule selects by prefixes of tags, or all
// images, and keeps a number of them.
const (
	statusTagged, statusAny = "tagged", "any"
	countNewest             = "imageCountMoreThan"
)

// parseLifecyclePolicy returns the policy with its rules in order of priority. The
// error is the reason for which Amazon ECR would refuse it, or the part that the
// sandbox does not know.
func parseLifecyclePolicy(text string) (p lifecyclePolicy, err error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return p, err
	}
	slices.SortStableFunc(p.Rules, func(a, b lifecycleRule) int { return cmp.Compare(a.Priority, b.Priority) })
	last := len(p.Rules) - 1
	for i, r := range p.Rules {
		s := r.Selection
		for _, check := range []struct {
			ok  bool
			why string
		}{
			{r.Priority >= 1, "rulePriority has to be 1 or more"},
			{i == 0 || r.Priority != p.Rules[i-1].Priority, "rulePriority has to be unique"},
			{s.TagStatus == statusTagged || s.TagStatus == statusAny, "the sandbox knows the tagStatus tagged and any"},
			{s.TagStatus != statusAny || i == last, "a rule with tagStatus any has to have the highest rulePriority"},
			{(s.TagStatus == statusTagged) == (len(s.TagPrefixList) > 0), "tagPrefixList goes with tagStatus tagged, and with no other"},
			{s.CountType == countNewest, "the sandbox knows the countType " + countNewest},
			{s.CountNumber >= 1, "countNumber has to be 1 or more"},
			{r.Action.Type == "expire", "the sandbox knows the action expire"},
		} {
			if !check.ok {
				return p, fmt.Errorf("rule %d: %s", r.Priority, check.why)
			}
		}
	}
	if last < 0 {
		return p, errors.New("a policy has one rule or more")
	}
	return p, nil
}

// expired returns the images that the policy expires, of all, the oldest first. Each
// rule counts the images that it identifies as if none had expired, also those that
// another rule keeps. An image that one rule identifies is not expired by a later
// rule, even if the first keeps it (Amazon ECR user guide, "How lifecycle policies
// work").
func (p lifecyclePolicy) expired(all []image) []image {
	var gone []image
	taken := map[string]bool{} // by the digest: a rule of higher priority has decided
	for _, r := range p.Rules {
		var identified []image
		for _, i := range all {
			if r.identifies(i) {
				identified = append(identified, i)
			}
		}
		for _, i := range identified[:max(0, len(identified)-r.Selection.CountNumber)] {
			if !taken[i.digest] {
				gone = append(gone, i)
			}
		}
		for _, i := range identified {
			taken[i.digest] = true
		}
	}
	return gone
}

// identifies reports whether a rule selects an image: each prefix of the rule is that
// of one of the image's tags.
func (r lifecycleRule) identifies(i image) bool {
	return !slices.ContainsFunc(r.Selection.TagPrefixList, func(prefix string) bool {
		return !slices.ContainsFunc(i.tags, func(tag string) bool { return strings.HasPrefix(tag, prefix) })
	})
}
