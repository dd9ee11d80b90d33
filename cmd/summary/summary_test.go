package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/outputs"
)

var update = flag.Bool("update", false, "write the summaries of the recorded previews anew")

func recorded(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	require.NoError(t, err)
	return text
}

// The recordings are the sandbox's: the engine's own, of the whole stack, by
// `sandbox preview -json` and testdata/prune.jq.
func TestEachRecordedPreviewHasItsSummary(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			got := summarize("sandbox", recorded(t, name), outcome{}, comment)
			golden := strings.TrimSuffix(file, ".json") + ".md"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(want), got)
			for range 20 { // maps are walked in another order each time
				require.Equal(t, got, summarize("sandbox", recorded(t, name), outcome{}, comment))
			}
		})
	}
}

func TestEveryTypeOfTheWholeStackIsToldInWords(t *testing.T) {
	p, err := read(recorded(t, "first"))
	require.NoError(t, err)
	for _, c := range p.changes() {
		assert.Contains(t, kinds, typeOf(c.URN))
	}
}

func TestOutputsAreCalledByTheirReleasedNames(t *testing.T) {
	var released []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[outputs.Outputs]()) {
		released = append(released, field.Tag.Get("json"))
	}
	for _, row := range configured {
		assert.Contains(t, released, row.output)
	}
	for _, typ := range []string{"dcv:session:Sessions$aws:batch/jobDefinition:JobDefinition::x", "aws:secretsmanager/secret:Secret::x-credentials", "aws:sns/topic:Topic::x"} {
		c := created("urn:pulumi:s::p::"+typ, "urn:pulumi:s::p::dcv:session:Sessions::sessions", "zoe")
		output, user, _ := strings.Cut(c.newOutput(), ".")
		assert.Contains(t, released, output, typ)
		assert.Equal(t, "zoe", user)
	}
}

func created(urn, parent, user string) change {
	return change{operation: creates, name: nameOf(urn), step: step{URN: urn, NewState: &state{
		Parent: parent, Inputs: map[string]any{"tags": map[string]any{"dcv-sessions:user": user}},
	}}}
}

// updated is the JSON of a preview that changes one resource's inputs.
func updated(t *testing.T, typ string, before, after map[string]any, diagnostics ...string) []byte {
	t.Helper()
	urn := "urn:pulumi:dev::dcv-sessions::" + typ + "::it"
	p := map[string]any{"changeSummary": map[string]int{"update": 1}, "steps": []any{
		map[string]any{"op": "same", "urn": "urn:pulumi:dev::dcv-sessions::pulumi:pulumi:Stack::dcv-sessions-dev", "oldState": map[string]any{}},
		map[string]any{"op": "update", "urn": urn, "oldState": map[string]any{"inputs": before, "outputs": before}, "newState": map[string]any{"inputs": after}},
	}}
	var said []any
	for _, message := range diagnostics {
		said = append(said, map[string]any{"severity": "error", "message": message})
	}
	p["diagnostics"] = said
	text, err := json.Marshal(p)
	require.NoError(t, err)
	return text
}

func TestAChangedComputeEnvironmentSaysHowLongItMayTake(t *testing.T) {
	resources := func(most int, template string) map[string]any {
		return map[string]any{
			"computeResources": map[string]any{"maxVcpus": most, "launchTemplate": map[string]any{"version": template}},
			"updatePolicy":     map[string]any{"jobExecutionTimeoutMinutes": 120},
		}
	}
	const hosts, scales = "its hosts are replaced: new sessions start on new ones, and the deployment waits for the sessions on the old ones, up to 120 minutes; " +
		"then AWS Batch terminates those that still run", "no host is replaced"
	for name, test := range map[string]struct {
		after     map[string]any
		says, not string
	}{
		"another template": {resources(64, "2"), hosts, scales},
		"more vCPUs":       {resources(128, "1"), scales, hosts},
		"both in one go":   {resources(128, "2"), hosts, scales},
	} {
		got := summarize("dev", updated(t, environmentType, resources(64, "1"), test.after), outcome{}, comment)
		assert.Contains(t, got, test.says, name)
		assert.NotContains(t, got, test.not, name)
	}
}

// previewed is the JSON of a preview that changes something, with a configuration.
func previewed(t *testing.T, config map[string]string, diagnostics ...string) []byte {
	t.Helper()
	var p map[string]any
	require.NoError(t, json.Unmarshal(updated(t, "aws:x/y:Y", map[string]any{"a": 1}, map[string]any{"a": 2}, diagnostics...), &p))
	p["config"] = config
	text, err := json.Marshal(p)
	require.NoError(t, err)
	return text
}

func TestTheCapacityIsThatOfThePreviewedConfiguration(t *testing.T) {
	got := summarize("dev", previewed(t, map[string]string{
		"aws:region": "eu-west-1", "dcv-sessions:network.playerCidrs": `["203.0.113.0/24"]`, "dcv-sessions:compute.instanceTypes": `["g5.xlarge","g4dn.xlarge","g5.2xlarge"]`, "dcv-sessions:compute.minVcpus": "4",
		"dcv-sessions:session.perGpu": "6", "dcv-sessions:session.vcpus": "1", "dcv-sessions:session.memoryMib": "5000", "dcv-sessions:session.sharedMemoryMib": "64",
		"dcv-sessions:compute.prices": `{"g5.2xlarge":1.3}`,
	}), outcome{}, comment)
	assert.Contains(t, got, `### Capacity

| instance type | GPUs | sessions per host | limited by | session-hour alone | on a full host | held ready, an hour | most sessions |
|---|---|---|---|---|---|---|---|
| g4dn.xlarge | 1 T4, 16384 MiB | 3 | memory | $0.5260 | $0.1753 | $0.5260 | 48 |
| g5.xlarge | 1 A10G, 22888 MiB | 3 | memory | $1.0060 | $0.3353 | $1.0060 | 48 |
| g5.2xlarge | 1 A10G, 22888 MiB | 6 | memory | $1.3000 | $0.2167 | none | 48 |

- AWS Batch starts g4dn.xlarge first, and the others in this order when it gets none of it.
- At most 96 sessions at once, on hosts of all sizes.
- Prices of g5.2xlarge: compute.prices.
- Prices of g4dn.xlarge, g5.xlarge: AWS's list prices of us-east-1 on 2026-02-09, for Linux on demand, of instances alone; check them before you rely on them.
- The stack is in eu-west-1, where prices differ: set them in compute.prices.
`)
}

func TestTheCapacityIsLeftOutIfItIsNotKnown(t *testing.T) {
	types := map[string]string{"dcv-sessions:network.playerCidrs": `["203.0.113.0/24"]`, "dcv-sessions:compute.instanceTypes": `["g5.xlarge"]`}
	assert.Contains(t, summarize("dev", previewed(t, types), outcome{}, comment), "### Capacity")
	assert.NotContains(t, summarize("dev", previewed(t, types, "error: no"), outcome{status: 255}, comment), "### Capacity", "of a failure")
	assert.NotContains(t, summarize("dev", previewed(t, nil), outcome{}, comment), "### Capacity")
	types["dcv-sessions:users"] = "[secret]"
	assert.Contains(t, summarize("dev", previewed(t, types), outcome{}, comment), "### Capacity\n\n- not known: a value that it follows from is a secret\n")
}

func TestNoSecretIsPrintedWhereverItStands(t *testing.T) {
	const planted = "hunter2-Tr0ub4dor"
	marked := func(cipher string) map[string]any {
		return map[string]any{signature: "1b47061264138c4ac30d75fd1eb44270", "ciphertext": cipher}
	}
	environment := func(value string) string {
		return fmt.Sprintf(`{"environment":[{"name":"API_TOKEN","value":%q},{"name":"COPY","value":%q}]}`, value, "copy of "+value)
	}
	before := map[string]any{
		"registry": map[string]any{"password": "earlier-password"}, "marked": marked("v1:AAAAAAAAAAAAAAAA:BBBBBBBBBBBBBBBBBBBBBB"),
		"containerProperties": environment("earlier-token"), "description": "nothing", "list": []any{marked("one")},
		"userData": "Iy9iaW4vc2gKZXhwb3J0IFRPS0VOPWVhcmxpZXIKZXhwb3J0IEE9MQo=", "secretString": "[secret]",
	}
	after := map[string]any{
		"registry": map[string]any{"password": planted}, "marked": marked("v1:CCCCCCCCCCCCCCCC:DDDDDDDDDDDDDDDDDDDDDD"),
		"containerProperties": environment(planted), "description": "log in with " + planted, "list": []any{marked("two"), marked("three")},
		"userData": "Iy9iaW4vc2gKZXhwb3J0IFRPS0VOPWh1bnRlcjItVHIwdWI0ZG9yCmV4cG9ydCBBPTIK", "secretString": "[secret]",
	}
	text := updated(t, "aws:x/y:Y", before, after, "error: login with "+planted+" failed", `error: {"token": "abc", "n": 1}`,
		"error: Authorization: Bearer eyJhbGciOi.J9eyJzdWIi.x", "error: https://me:pw@example.com/x and AKIAABCDEFGHIJKLMNOP", "error: v1:AAAAAAAAAAAAAAAA:BBBBBBBBBBBBBBBBBBBBBB")
	got := summarize("dev", text, outcome{status: 255, said: "password: " + planted}, comment)
	for _, secret := range []string{planted, "hunter2", "earlier", "abc", "eyJ", "me:pw", "AKIA", "AAAAAAAA", "CCCCCCCC", signature, "[secret]"} {
		assert.NotContains(t, got, secret)
	}
	for _, told := range []string{"`registry.password`: a value that is not shown → a value that is not shown", "`marked`", "containerProperties.environment[API_TOKEN]", "+ export A=2", "`list`", "login with [hidden] failed"} {
		assert.Contains(t, got, told)
	}
	assert.NotContains(t, got, "httpTokens")
}

func TestAKeyThatOnlySoundsSecretIsShown(t *testing.T) {
	text := updated(t, "aws:ec2/launchTemplate:LaunchTemplate",
		map[string]any{"metadataOptions": map[string]any{"httpTokens": "optional"}}, map[string]any{"metadataOptions": map[string]any{"httpTokens": "required"}})
	assert.Contains(t, summarize("dev", text, outcome{}, comment), "`metadataOptions.httpTokens`: `optional` → `required`")
}

func TestAPreviewThatPrintedNoJSONHasASummary(t *testing.T) {
	for name, text := range map[string]string{"nothing": "", "words": "no such stack", "half": `{"steps": [{"op": "cre`, "no end": `{"steps": []}`, "events": `{"sequence":1}` + "\n" + `{"sequence":2}`} {
		got := summarize("dev", []byte(text), outcome{status: 255, said: "\x1b[31merror:\x1b[0m no stack named 'dev' found"}, comment)
		assert.True(t, strings.HasPrefix(got, "<!-- dcv-sessions preview dev -->\n"), name)
		assert.Contains(t, got, "**The preview failed", name)
		assert.Contains(t, got, "status 255", name)
		assert.Contains(t, got, "\nerror: no stack named 'dev' found\n", name)
	}
}

func TestAFailureThatOnlyTheStatusTellsIsNoSuccess(t *testing.T) {
	got := summarize("sandbox", recorded(t, "nothing"), outcome{status: 1, said: "error: policy"}, comment)
	assert.Contains(t, got, "**The preview failed")
	assert.Contains(t, got, "error: policy")
}

func TestALongPreviewIsCutBetweenEntriesAndSaysWhatIsLeftOut(t *testing.T) {
	steps := []any{map[string]any{"op": "same", "urn": "urn:pulumi:dev::dcv-sessions::pulumi:pulumi:Stack::dcv-sessions-dev", "oldState": map[string]any{}}}
	for i := range 3000 {
		urn := fmt.Sprintf("urn:pulumi:dev::dcv-sessions::aws:s3/bucketV2:BucketV2::bucket-%04d", i)
		steps = append(steps, map[string]any{"op": "delete", "urn": urn, "oldState": map[string]any{"inputs": map[string]any{}}})
	}
	text, err := json.Marshal(map[string]any{"changeSummary": map[string]int{"delete": 3000}, "steps": steps})
	require.NoError(t, err)
	for _, limit := range []int{comment, 10000} {
		got := summarize("dev", text, outcome{}, limit)
		assert.LessOrEqual(t, len(got), limit)
		assert.Greater(t, len(got), limit*9/10, "as much as fits is told")
		told := strings.Count(got, "- **deletes** the bucket `bucket-")
		assert.Contains(t, got[len(got)-200:], fmt.Sprintf(".\n\n**%d more entries did not fit", 3000-told+1), "the component's one entry is the last of them")
	}
}

func TestTextOfAPullRequestIsNoMarkdown(t *testing.T) {
	evil := "`x` --> <img src=x> @everyone\n# Title"
	got := summarize("dev", updated(t, "aws:x/y:Y", map[string]any{"a": "b"}, map[string]any{"a": evil}, "error: ```\n# Title\n```"), outcome{}, comment)
	assert.Contains(t, got, "→ `` `x` --> <img src=x> @everyone # Title ``")
	assert.Contains(t, got, "````text\n```\n# Title\n```\n````")
}

func TestAReplacementInStepsIsOneAndALeftoverIsNoLoss(t *testing.T) {
	urn := "urn:pulumi:dev::dcv-sessions::aws:s3/bucketV2:BucketV2::builds"
	p := preview{Steps: []step{
		{Op: "create-replacement", URN: urn, NewState: &state{Inputs: map[string]any{"bucket": "b"}}},
		{Op: "replace", URN: urn, OldState: &state{Inputs: map[string]any{"bucket": "a"}}, NewState: &state{Inputs: map[string]any{"bucket": "b"}}, ReplaceReasons: []string{"bucket"}},
		{Op: "delete-replaced", URN: urn, OldState: &state{Inputs: map[string]any{"bucket": "a"}}},
		{Op: "delete", URN: urn, OldState: &state{Delete: true, Inputs: map[string]any{"bucket": "0"}}},
	}}
	all := p.changes()
	require.Len(t, all, 2)
	assert.Equal(t, []operation{replaces, deletes}, []operation{all[0].operation, all[1].operation})
	assert.True(t, all[0].isLoss())
	assert.Equal(t, []string{"bucket"}, all[0].ReplaceReasons)
	assert.Equal(t, []difference{{path: "bucket", old: "`a`", new: "`b`"}}, all[0].differences)
	assert.False(t, all[1].isLoss(), "its successor has been in use since an earlier deployment")
}

func TestAProtectionThatIsTakenAwayIsToldFirst(t *testing.T) {
	p := preview{Steps: []step{{Op: "same", URN: "urn:pulumi:dev::dcv-sessions::aws:kms/key:Key::key", OldState: &state{Protect: true}, NewState: &state{}}}}
	assert.Equal(t, []string{"- the encryption key `key` is **no longer protected** against deletion\n"}, p.warnings(p.changes()))
}

func TestAnUnknownTypeIsTakenForOneThatHoldsData(t *testing.T) {
	p := preview{Steps: []step{{Op: "delete", URN: "urn:pulumi:dev::dcv-sessions::aws:rds/instance:Instance::db", OldState: &state{}}}}
	list := p.warnings(p.changes())
	require.Len(t, list, 1)
	assert.Contains(t, list[0], "not known to this summary")
}

func TestARestorablePasswordIsSaidToBe(t *testing.T) {
	for days, want := range map[json.Number]bool{"0": false, "30": true} {
		c := created("urn:pulumi:dev::p::aws:secretsmanager/secret:Secret::secrets-zoe-credentials", "", "zoe")
		c.operation, c.OldState, c.NewState = deletes, c.NewState, nil
		c.OldState.Inputs["recoveryWindowInDays"] = days
		assert.Contains(t, c.lost(), "the password of `zoe`")
		assert.Equal(t, want, strings.Contains(c.lost(), "restored for 30 days"))
	}
}

func TestARuleOfTheBuilderReachesNoSession(t *testing.T) {
	for parent, want := range map[string]reach{"dcv:builder:Builder::builder": none, "dcv:network:Network::network": now} {
		c := created("urn:pulumi:dev::p::aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule::it", "urn:pulumi:dev::p::"+parent, "")
		c.kind = kinds[typeOf(c.URN)]
		assert.Equal(t, want, c.effect().reach, parent)
	}
}

func TestLongListsTellWhatCameAndWent(t *testing.T) {
	var before, after []any
	for i := range 20 {
		before, after = append(before, fmt.Sprintf("s3:Action%d", i)), append(after, fmt.Sprintf("s3:Action%d", i+1))
	}
	assert.Equal(t, []difference{{path: "p", lines: []string{"- \"s3:Action0\"", "+ \"s3:Action20\""}}}, compare("p", before, after))
	turned := slices.Clone(before)
	slices.Reverse(turned)
	assert.Equal(t, []difference{{path: "p", lines: []string{"  the same, in another order or number"}}}, compare("p", before, turned))
}

func TestTheCommandReadsAFileOrItsInput(t *testing.T) {
	for _, args := range [][]string{{"testdata/nothing.json"}, nil} {
		var out strings.Builder
		require.NoError(t, run(append([]string{"--stack", "dev"}, args...), strings.NewReader(string(recorded(t, "nothing"))), &out))
		assert.Contains(t, out.String(), "**Nothing changes.**")
	}
	var out strings.Builder
	require.NoError(t, run([]string{"--stack", "dev", "--status", "1", "missing.json"}, nil, &out))
	assert.Contains(t, out.String(), "it printed no JSON")
	assert.ErrorContains(t, run([]string{"--stack", "x --> y"}, nil, &out), "--stack")
}
