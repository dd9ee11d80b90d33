package scaling

// Quota is a limit of AWS that many sessions may reach. All are those of one account in
// one Region, unless per is given.
type Quota struct {
	Service, Name string
	Limit         float64
	Unit          string
	Fixed         bool   // AWS doesn't raise it
	Beyond        string // the step to take beyond it
	Source        string // the title of AWS's page
	URL           string
	use           func(Peaks) float64
}

const (
	anIncrease = "ask for an increase"
	anAccount  = "a second account, or a second Region"
	aQueue     = "a second queue: a second stack"
)

// rootTiB is a host's root volume, as compute.rootGib is by default.
const rootTiB = 100.0 / 1024

// Quotas are AWS's defaults as its pages gave them in November 2026.
var Quotas = []Quota{
	{"Amazon EC2", "Running On-Demand G and VT instances", 0, "vCPUs", false, anIncrease, "Amazon EC2 service quotas",
		"https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html",
		func(p Peaks) float64 { return p.VCPUs }},
	{"Amazon EBS", "Storage for General Purpose SSD (gp3) volumes", 50, "TiB", false, anIncrease, "Amazon EBS endpoints and quotas",
		"https://docs.aws.amazon.com/general/latest/gr/ebs-service.html",
		func(p Peaks) float64 { return p.Hosts * rootTiB }},
	{"Amazon EC2", "RunInstances, instances in ten minutes", 1000 + 2*600, "hosts", false, anIncrease, "Request throttling for the Amazon EC2 API",
		"https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html",
		func(p Peaks) float64 { return p.HostStarts }},
	{"Amazon VPC", "Network interfaces per Region", 5000, "hosts", false, anIncrease, "Amazon VPC quotas",
		"https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html",
		func(p Peaks) float64 { return p.Hosts }},
	{"Amazon ECS", "Container instances per cluster (a compute environment has one)", 5000, "hosts", true, aQueue, "Amazon ECS endpoints and quotas",
		"https://docs.aws.amazon.com/general/latest/gr/ecs-service.html",
		func(p Peaks) float64 { return p.Hosts }},
	{"Amazon SNS", "Delivery rate for email messages, sustained", 10, "a second", true, anAccount + ", or no e-mails", "Amazon SNS endpoints and quotas",
		"https://docs.aws.amazon.com/general/latest/gr/sns.html",
		func(p Peaks) float64 { return p.Placed }},
	{"Amazon ECS", "Cluster resource modify actions (StartTask), sustained", 40, "a second", false, anIncrease, "Request throttling for the Amazon ECS API",
		"https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html",
		func(p Peaks) float64 { return p.Placed }},
	{"AWS Batch", "SubmitJob", 50, "a second", true, anAccount, "AWS Batch service quotas",
		"https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html",
		func(p Peaks) float64 { return p.Submits }},
	{"Amazon CloudWatch Logs", "CreateLogStream", 50, "a second", false, anIncrease, "CreateLogStream",
		"https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogStream.html",
		func(p Peaks) float64 { return p.Readies }},
	{"AWS Batch", "Compute environments", 50, "environments of 5,000 hosts", true, anAccount, "AWS Batch service quotas",
		"https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html",
		func(p Peaks) float64 { return p.Hosts / 5000 }},
	{"Amazon SNS", "Publish, in the Regions with the lowest quota", 300, "a second", false, anIncrease, "Amazon SNS endpoints and quotas",
		"https://docs.aws.amazon.com/general/latest/gr/sns.html",
		func(p Peaks) float64 { return p.Readies }},
}

// Use returns which part of a quota a stack with such peaks uses; 1: all of it.
func (q Quota) Use(p Peaks) float64 {
	if q.Limit == 0 {
		return q.use(p) // any use is beyond it
	}
	return q.use(p) / q.Limit
}

// Reached returns with how many sessions a day a quota is reached: between two runs in
// proportion, and beyond the last one as if all went on growing as fast. Runs are in the
// order of their sessions.
func (q Quota) Reached(runs []Summary) float64 {
	for i, run := range runs {
		use := q.Use(run.Peaks)
		switch {
		case use < 1:
		case i == 0:
			return 0 // with the fewest sessions already
		default:
			before := runs[i-1]
			part := (1 - q.Use(before.Peaks)) / (use - q.Use(before.Peaks))
			return float64(before.Sessions) + part*float64(run.Sessions-before.Sessions)
		}
	}
	last := runs[len(runs)-1]
	return float64(last.Sessions) / q.Use(last.Peaks)
}
