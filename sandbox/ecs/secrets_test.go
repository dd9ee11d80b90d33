package ecs_test

import (
	"github.com/stretchr/testify/assert"

	"github.com/intraverse/dcv-sessions/sandbox/batch"
)

func secrets(pairs ...string) []batch.Secret {
	var list []batch.Secret
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, batch.Secret{Name: pairs[i], ValueFrom: pairs[i+1]})
	}
	return list
}

func (s *onDocker) TestASecretIsReadWithTheExecutionRole() {
	w := s.world()
	w.secrets[secretARN("s")] = "very secret"
	t := task("env")
	t.Container.JobRoleARN = roleARN("session")
	t.Container.Secrets = secrets("S", secretARN("s"))
	lines, _ := w.output(t)
	assert.Contains(w, lines, "S=very secret")
	assert.Equal(w, []string{"execution-by-ecs-tasks-1"}, w.keys("GetSecretValue"))
}

func (s *onDocker) TestASecretIsReadAnewForEachAttempt() {
	w := s.world()
	for _, value := range []string{"before", "after"} {
		w.mu.Lock()
		w.secrets[secretARN("s")] = value
		w.mu.Unlock()
		t := task("env")
		t.Container.Secrets = secrets("S", secretARN("s"))
		lines, _ := w.output(t)
		assert.Contains(w, lines, "S="+value)
	}
}

func (s *onDocker) TestAKeyOfASecretIsPrintedAsTheAgentPrintsIt() {
	w := s.world()
	w.secrets[secretARN("s")] = `{"text":"t","number":12345678,"null":null}`
	t := task("env")
	t.Container.Secrets = secrets("T", secretARN("s")+":text::", "N", secretARN("s")+":number:AWSCURRENT:", "E", secretARN("s")+":null::one")
	lines, _ := w.output(t)
	assert.Subset(w, lines, []string{"T=t", "N=1.2345678e+07", "E=<nil>"})
	asked := ""
	w.mu.Lock()
	for _, made := range w.calls {
		asked += made.body
	}
	w.mu.Unlock()
	assert.Contains(w, asked, `"VersionStage":"AWSCURRENT"`)
	assert.Contains(w, asked, `"VersionId":"one"`)
}

func (s *onDocker) TestSecretsThatCannotBeReadAreToldInECSsWords() {
	const missing = "ResourceInitializationError: The task can't retrieve the secret with ARN '"
	const malformed = "an invalid ARN format for the AWS Secrets Manager secret was specified. Specify a valid ARN and try again."
	const noKey = "retrieved secret from Secrets Manager did not contain json key other"
	w := s.world()
	w.secrets[secretARN("s")] = `{"key":"v"}`
	for name, test := range map[string]struct {
		secrets []batch.Secret
		role    string
		words   []string
	}{
		"not there":       {secrets("A", secretARN("a")), roleARN("execution"), []string{missing + secretARN("a") + "' from AWS Secrets Manager. Check that the secret ARN is correct: ", "ResourceNotFoundException: Secrets Manager can't find the specified secret."}},
		"malformed":       {secrets("A", secretARN("s")+":key"), roleARN("execution"), []string{malformed}},
		"no key":          {secrets("A", secretARN("s")+":other::"), roleARN("execution"), []string{noKey}},
		"several":         {secrets("A", secretARN("s")+":other::", "B", "x:y"), roleARN("execution"), []string{noKey, ";", malformed}},
		"no role":         {secrets("A", secretARN("s")), "", []string{"ASM secret resource: unable to find execution role credentials"}},
		"role not usable": {secrets("A", secretARN("s")), roleARN("untrusted"), []string{"ECS was unable to assume the role '" + roleARN("untrusted") + "' that was provided for this task. Please verify that the role being passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role."}},
	} {
		w.refused = []string{roleARN("untrusted")}
		t := task("exit", "0")
		t.Container.ExecutionRoleARN, t.Container.Secrets = test.role, test.secrets
		ending := w.refusedStart(t)
		for _, part := range test.words {
			assert.Contains(w, ending.StatusReason, part, name)
		}
		assert.Empty(w, ending.Reason, name)
	}
}

func (s *onDocker) TestADeniedSecretIsToldWithTheSDKsErrorTwice() {
	w := s.world()
	w.answers["GetSecretValue"] = answer{code: "AccessDeniedException", message: "User: X is not authorized to perform: secretsmanager:GetSecretValue"}
	t := task("exit", "0")
	t.Container.Secrets = secrets("S", secretARN("s"))
	ending := w.refusedStart(t)
	assert.Regexp(w, `AccessDeniedException: User: X is not authorized.*: .*AccessDeniedException: User: X is not authorized`, ending.StatusReason)
	assert.NotContains(w, ending.StatusReason, "Check that the secret ARN is correct", "which is for those not found")
}

func (s *onDocker) TestASecretAndAVariableOfOneNameAreRefusedInECSsWords() {
	w := s.world()
	w.secrets[secretARN("s")] = "x"
	t := task("exit", "0")
	t.Container.Environment = []batch.KeyValue{{Name: "S", Value: "x"}}
	t.Container.Secrets = secrets("S", secretARN("s"))
	assert.Equal(w, "The secret name must be unique and not shared with any new or existing environment variables set on the container, such as 'S'.", w.refusedStart(t).StatusReason)
}

func (s *onDocker) TestARoleThatIsNoLongerTrustedFailsTheNextTask() {
	w := s.world()
	first, second := task("exit", "0"), task("exit", "0")
	first.Container.JobRoleARN, second.Container.JobRoleARN = roleARN("session"), roleARN("session")
	w.start(first)
	exited(w.T, 0, w.ended())
	w.mu.Lock()
	w.refused = []string{roleARN("session")}
	w.mu.Unlock()
	assert.Contains(w, w.refusedStart(second).StatusReason, "ECS was unable to assume the role '"+roleARN("session")+"'")
}
