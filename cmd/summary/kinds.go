package main

import "strings"

// reach is the effect of a change on sessions, the mildest first.
type reach int

const (
	none  reach = iota
	later       // sessions or hosts that start from now on
	now         // running sessions feel it, and go on
	ends        // running sessions may end
)

// effect is the effect of a change on sessions, with its text.
type effect struct {
	reach reach
	words string
}

// kind is the knowledge about a type of resource that a reviewer needs.
type kind struct {
	words string
	// lost names the data or the known name that is lost when a resource is replaced or
	// deleted. For a secret, change.lost decides.
	lost                            string
	create, update, replace, remove effect
}

// unknownKind is for a type that isn't in the table: the reviewer has to decide.
func unknownKind(typ string) kind {
	words := typ
	if i := strings.LastIndexByte(typ, ':'); i >= 0 {
		words = typ[i+1:]
	}
	return kind{words: words, lost: "whatever it holds: this type (" + code(typ) + ") is not known to this summary"}
}

// apart lists the components that no session uses: their changes affect no session.
var apart = map[string]bool{
	"dcv:builder:Builder":         true,
	"dcv:builder:GameBuilds":      true,
	"dcv:delivery:Delivery":       true,
	"dcv:observability:Alarms":    true,
	"dcv:observability:Budget":    true,
	"dcv:observability:Dashboard": true,
	"dcv:observability:Metrics":   true,
	"dcv:pipeline:Pipeline":       true,
}

// effect returns the effect of the change on sessions.
func (c change) effect() effect {
	if _, of := c.component(); apart[of] || c.isLeftover {
		return effect{}
	}
	switch c.operation {
	case replaces:
		return c.kind.replace
	case deletes:
		return c.kind.remove
	case changes:
		if typeOf(c.URN) == environmentType {
			return c.hostChange()
		}
		return c.kind.update
	case creates:
		return c.kind.create
	}
	return effect{}
}

var (
	newSessions = effect{later, "only for sessions that start from now on; running ones go on as they are"}
	newHosts    = effect{later, "only for hosts that start from now on; running sessions go on where they are"}
	connections = effect{now, "who can connect, at once, and to running sessions too"}
	permissions = effect{now, "what sessions, hosts or launchers may do, at once and for running sessions too"}
	reached     = effect{now, "what hosts and sessions can connect to, at once"}
	cutOff      = effect{ends, "hosts lose their network: running sessions are cut off"}
)

// kinds has every type that the components declare.
var kinds = map[string]kind{
	// sessions and hosts
	"aws:batch/jobDefinition:JobDefinition": {words: "job definition",
		update:  effect{later, "a new revision, only for sessions that start from now on; running ones go on as they are"},
		replace: effect{later, "running sessions go on; one that is submitted while the definition is away is refused"},
		remove:  effect{later, "no further session of this user starts; a running one goes on to its end"}},
	"aws:batch/jobQueue:JobQueue": {words: "job queue",
		lost:    "the sessions that wait in it, and its ARN, which launchers submit to",
		update:  effect{later, "where waiting and later sessions are placed; running ones go on"},
		replace: effect{ends, "waiting sessions are lost, and those that run in the queue may end"},
		remove:  effect{ends, "nobody can start a session, and those that run in the queue may end"}},
	"aws:batch/computeEnvironment:ComputeEnvironment": {words: "compute environment",
		lost:    "its hosts, with the sessions that run on them",
		replace: effect{ends, "its hosts go: running sessions end"},
		remove:  effect{ends, "its hosts go: running sessions end"}},
	"aws:ec2/launchTemplate:LaunchTemplate": {words: "launch template", update: newHosts, replace: newHosts, remove: newHosts},

	// images and their sources
	"docker:index/image:Image":                                                                   {words: "session image", update: newSessions, replace: newSessions},
	"pulumi:providers:docker":                                                                    {words: "connection to Docker"},
	"pulumi:providers:aws":                                                                       {words: "connection to AWS"},
	"aws:ecr/repository:Repository":                                                              {words: "image repository", lost: "every session image: nothing starts, or is rolled back, until one is built", replace: newSessions, remove: newSessions},
	"aws:ecr/lifecyclePolicy:LifecyclePolicy":                                                    {words: "rule of which images are kept"},
	"aws:ecr/repositoryPolicy:RepositoryPolicy":                                                  {words: "policy of who may pull images"},
	"aws:ec2/instance:Instance":                                                                  {words: "builder instance", lost: "its build cache: the next build takes long"},
	"aws:s3/bucketV2:BucketV2":                                                                   {words: "bucket", lost: "what is in it: every uploaded game build"},
	"aws:s3/bucketPolicy:BucketPolicy":                                                           {words: "bucket policy"},
	"aws:s3/bucketVersioningV2:BucketVersioningV2":                                               {words: "bucket's versioning"},
	"aws:s3/bucketOwnershipControls:BucketOwnershipControls":                                     {words: "bucket's ownership rule"},
	"aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock":                                     {words: "bucket's block of public access"},
	"aws:s3/bucketNotification:BucketNotification":                                               {words: "bucket's notification"},
	"aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2":                       {words: "rule of how long builds are kept"},
	"aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2": {words: "bucket's encryption"},

	// users, secrets, messages, logs
	"aws:secretsmanager/secret:Secret": {words: "secret", lost: "its value",
		replace: newSessions, remove: newSessions},
	"aws:secretsmanager/secretVersion:SecretVersion": {words: "secret's value", update: newSessions, replace: newSessions, remove: newSessions},
	"aws:sns/topic:Topic":                            {words: "topic", lost: "its subscriptions, which people have to confirm again", replace: effect{now, "running sessions tell nobody any more"}, remove: effect{now, "running sessions tell nobody any more"}},
	"aws:sns/topicPolicy:TopicPolicy":                {words: "topic policy"},
	"aws:sns/topicSubscription:TopicSubscription":    {words: "subscription", lost: "its confirmation: whoever is told has to confirm by e-mail"},
	"aws:kms/key:Key":                                {words: "encryption key", lost: "the means to read what it encrypted"},
	"aws:kms/alias:Alias":                            {words: "key alias"},
	"aws:cloudwatch/logGroup:LogGroup":               {words: "log group", lost: "the logs of every session so far", replace: effect{now, "running sessions log no more"}, remove: effect{now, "running sessions log no more"}},

	// network
	"aws:ec2/vpc:Vpc":                                           {words: "VPC", lost: "the network of every host", replace: cutOff, remove: cutOff},
	"aws:ec2/subnet:Subnet":                                     {words: "subnet", lost: "the network of its hosts", replace: cutOff, remove: cutOff},
	"aws:ec2/internetGateway:InternetGateway":                   {words: "internet gateway", replace: cutOff, remove: cutOff},
	"aws:ec2/routeTable:RouteTable":                             {words: "route table", update: connections, replace: cutOff, remove: cutOff},
	"aws:ec2/routeTableAssociation:RouteTableAssociation":       {words: "route table's association", replace: cutOff, remove: cutOff},
	"aws:ec2/vpcEndpoint:VpcEndpoint":                           {words: "VPC endpoint"},
	"aws:ec2/eip:Eip":                                           {words: "fixed address", lost: "the address, which others may have let in by number"},
	"aws:ec2/securityGroup:SecurityGroup":                       {words: "security group", lost: "its id, which others' rules may name", update: connections, replace: connections, remove: connections},
	"aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": {words: "rule of who can connect", create: connections, update: connections, replace: connections, remove: connections},
	"aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule":   {words: "rule of where hosts can connect to", create: reached, update: reached, replace: reached, remove: reached},

	// permissions
	"aws:iam/role:Role":                                   {words: "role", create: permissions, update: permissions, replace: permissions, remove: permissions},
	"aws:iam/rolePolicy:RolePolicy":                       {words: "role policy", create: permissions, update: permissions, replace: permissions, remove: permissions},
	"aws:iam/rolePolicyAttachment:RolePolicyAttachment":   {words: "managed policy of a role", create: permissions, update: permissions, replace: permissions, remove: permissions},
	"aws:iam/policy:Policy":                               {words: "managed policy", lost: "its ARN, by which other teams attach it", create: permissions, update: permissions, replace: permissions, remove: permissions},
	"aws:iam/instanceProfile:InstanceProfile":             {words: "instance profile", replace: newHosts, remove: newHosts},
	"aws:iam/openIdConnectProvider:OpenIdConnectProvider": {words: "trust in an identity provider", lost: "the workflows' way in, until it is there again"},

	// delivery
	"aws:cloudwatch/eventRule:EventRule":                     {words: "event rule"},
	"aws:cloudwatch/eventTarget:EventTarget":                 {words: "event target"},
	"aws:cloudwatch/eventConnection:EventConnection":         {words: "event connection", lost: "its token: set it again by make delivery-token"},
	"aws:cloudwatch/eventApiDestination:EventApiDestination": {words: "API destination"},
	"aws:cloudwatch/metricAlarm:MetricAlarm":                 {words: "alarm"},
	"aws:cloudwatch/logMetricFilter:LogMetricFilter":         {words: "metric filter"},
	"aws:cloudwatch/dashboard:Dashboard":                     {words: "dashboard"},
	"aws:budgets/budget:Budget":                              {words: "budget"},
	"aws:sqs/queue:Queue":                                    {words: "message queue", lost: "the messages in it"},
	"aws:sqs/queuePolicy:QueuePolicy":                        {words: "message queue's policy"},
}
