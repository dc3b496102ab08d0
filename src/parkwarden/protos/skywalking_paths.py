"""SkyWalking's services and methods as they are on the wire: `/package.Service/method`.

Agents before 8.4 speak the same messages under names without a package (`/TraceSegmentReportService/collect`); `old(path)` is that name.
"""

from __future__ import annotations

SEGMENTS = "/skywalking.v3.TraceSegmentReportService/collect"
SEGMENTS_AT_ONCE = "/skywalking.v3.TraceSegmentReportService/collectInSync"
METERS = "/skywalking.v3.MeterReportService/collect"
METER_BATCHES = "/skywalking.v3.MeterReportService/collectBatch"
LOGS = "/skywalking.v3.LogReportService/collect"
PROPERTIES = "/skywalking.v3.ManagementService/reportInstanceProperties"
KEEP_ALIVE = "/skywalking.v3.ManagementService/keepAlive"
CONFIGURATION = "/skywalking.v3.ConfigurationDiscoveryService/fetchConfigurations"
PROFILE_TASKS = "/skywalking.v3.ProfileTask/getProfileTaskCommands"
PROFILE_REPORT = "/skywalking.v3.ProfileTask/goProfileReport"
PROFILE_FINISH = "/skywalking.v3.ProfileTask/reportTaskFinish"
PPROF_TASKS = "/skywalking.v10.PprofTask/getPprofTaskCommands"
PPROF_COLLECT = "/skywalking.v10.PprofTask/collect"


def old(path: str) -> str:
    """The path under which agents before 8.4 ask for it."""
    return path.replace("/skywalking.v3.", "/")
