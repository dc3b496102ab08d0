"""SkyWalking's agents as a source: runtime meters become readings, segments and logs are kept for when something is wrong, and on
suspicion the agent is asked for profiles (`tasks`).

    receiver   the services, one handler each            meters   a batch -> values by field of Reading
    lately     what ran lately, as evidence              tasks    what an agent is asked for, and what it brought
"""
