"""Every method on one model: searched with the same budget on validation data, tested once, and read at equal privacy and at equal damage.

The data's path: `config` says how much of what, `entries` which methods with which settings, `bench` draws and asks, `search` tries
settings on validation questions, `choose` picks points by three rules, `final` trains them anew for every seed and asks the test questions,
`tables` and `figure` show what is there.
"""
