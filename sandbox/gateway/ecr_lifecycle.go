package gateway

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
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
		TagStatus      string   `json:"tagStatus"`
		TagPrefixList  []string `json:"tagPrefixList"`
		TagPatternList []string `json:"tagPatternList"`
		CountType      string   `json:"countType"`
		CountUnit      string   `json:"countUnit"`
		CountNumber    int      `json:"countNumber"`
	} `json:"selection"`
	Action struct {
		Type string `json:"type"`
	} `json:"action"`
}

// What a rule may say of tags and counts. Archiving images, and counting from
// their last pull, is not known here and refused.
const (
	statusTagged, statusUntagged, statusAny = "tagged", "untagged", "any"
	countNewest                             = "imageCountMoreThan"
	countAge                                = "sinceImagePushed"
)

// parseLifecyclePolicy returns the policy with its rules in the order of their
// priority, or why Amazon ECR would refuse it.
func parseLifecyclePolicy(text string) (p lifecyclePolicy, err error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return p, err
	}
	slices.SortStableFunc(p.Rules, func(a, b lifecycleRule) int { return cmp.Compare(a.Priority, b.Priority) })
	last := len(p.Rules) - 1
	untaggedRules := 0
	for i, r := range p.Rules {
		s := r.Selection
		if s.TagStatus == statusUntagged {
			untaggedRules++
		}
		lists := len(s.TagPrefixList) + len(s.TagPatternList)
		for _, check := range []struct {
			ok  bool
			why string
		}{
			{r.Priority >= 1, "rulePriority has to be 1 or more"},
			{i == 0 || r.Priority != p.Rules[i-1].Priority, "rulePriority has to be unique"},
			{slices.Contains([]string{statusTagged, statusUntagged, statusAny}, s.TagStatus), "tagStatus has to be tagged, untagged or any"},
			{s.TagStatus != statusAny || i == last, "a rule with tagStatus any has to have the highest rulePriority"},
			{untaggedRules <= 1, "only one rule may have the tagStatus untagged"},
			{(s.TagStatus == statusTagged) == (lists > 0), "tagPrefixList or tagPatternList goes with tagStatus tagged, and with no other"},
			{len(s.TagPrefixList) == 0 || len(s.TagPatternList) == 0, "tagPrefixList and tagPatternList exclude each other"},
			{!slices.ContainsFunc(s.TagPatternList, func(pattern string) bool { return strings.Count(pattern, "*") > 4 }), "a pattern may have four wildcards at most"},
			{s.CountType == countNewest && s.CountUnit == "" || s.CountType == countAge && s.CountUnit == "days", "countType has to be " + countNewest + ", or " + countAge + " with countUnit days"},
			{s.CountNumber >= 1, "countNumber has to be 1 or more"},
			{r.Action.Type == "expire", "action has to be expire"},
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

// expired returns the images that the policy expires, of all, the oldest first.
// Each rule identifies images as if none had expired, so that it counts those that
// another rule keeps too; an image whose tags meet a rule is no later rule's to
// expire, whether or not the first one does (Amazon ECR user guide, "How lifecycle
// policies work").
func (p lifecyclePolicy) expired(all []image, now time.Time) []image {
	var gone []image
	taken := map[string]bool{} // by the digest: a rule of higher priority has decided
	for _, r := range p.Rules {
		var identified []image
		for _, i := range all {
			if r.identifies(i) {
				identified = append(identified, i)
			}
		}
		for _, i := range r.marked(identified, now) {
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

// marked returns those that a rule expires of the images it identifies, the oldest
// first.
func (r lifecycleRule) marked(identified []image, now time.Time) []image {
	if r.Selection.CountType == countNewest {
		return identified[:max(0, len(identified)-r.Selection.CountNumber)]
	}
	limit := now.AddDate(0, 0, -r.Selection.CountNumber)
	young := slices.IndexFunc(identified, func(i image) bool { return !i.pushed.Before(limit) })
	if young < 0 {
		return identified
	}
	return identified[:young]
}

// identifies reports whether an image meets a rule's tag status, and each entry of
// its list is met by one of the image's tags.
func (r lifecycleRule) identifies(i image) bool {
	switch r.Selection.TagStatus {
	case statusAny:
		return true
	case statusUntagged:
		return len(i.tags) == 0
	}
	met := func(list []string, meets func(entry, tag string) bool) bool {
		return !slices.ContainsFunc(list, func(entry string) bool {
			return !slices.ContainsFunc(i.tags, func(tag string) bool { return meets(entry, tag) })
		})
	}
	return met(r.Selection.TagPrefixList, func(prefix, tag string) bool { return strings.HasPrefix(tag, prefix) }) &&
		met(r.Selection.TagPatternList, matchesTag)
}

// matchesTag reports whether a tag is as a pattern says, in which * stands for any
// characters or none.
func matchesTag(pattern, tag string) bool {
	text := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*")
	return regexp.MustCompile("^" + text + "$").MatchString(tag)
}
