package stack

// The components' logical names. They are a part of every URN, and most physical
// names begin with them: a component under another name is a new one, with new
// resources. Roles and grants are bounded by these names.
const (
	networkName    = "network"
	registryName   = "registry"
	gameBuildsName = "game-builds"
	logsName       = "logs"
	metricsName    = "metrics"
	usersName      = "secrets"
	rolesName      = "roles"
	deliveryName   = "delivery"
	builderName    = "builder"
	imageName      = "image"
	hostsName      = "hosts"
	queueName      = "queue"
	sessionsName   = "sessions"
	alarmsName     = "alarms"
	dashboardName  = "dashboard"
	budgetName     = "budget"
	launcherName   = "launcher"
	githubName     = "pipeline"
)
