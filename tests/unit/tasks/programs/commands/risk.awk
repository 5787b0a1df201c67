# An example of a task that is not in Python: the risk of missing a connection, from the mean delay and the weather.
#
#     risk = command("risk", ["awk", "-f", "risk.awk"], inputs=["delay"], optional={"weather": None})
#
# It reads a JSON object a line and writes one a line. awk has no parser of JSON; these lines are simple enough.

function field(name) {
    if (!match($0, "\"" name "\":(\"[^\"]*\"|[^,}]*)")) return "null"
    return substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3)
}

{
    delay = field("delay")
    if (delay < 0) { value = "null" }                     # early: nothing is known of the risk
    else {
        risk = delay / (delay + 30)
        if (field("weather") == "\"storm\"") risk = (1 + risk) / 2
        value = sprintf("%.3f", risk)
    }
    printf "{\"entity\":%s,\"value\":%s}\n", field("entity"), value
}
