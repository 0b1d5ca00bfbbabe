def pytest_addoption(parser):
    parser.addoption("--chaos-faults", type=int, default=50, help="faults to inject")
    parser.addoption("--chaos-seed", type=int, default=0, help="of the moments and kinds of faults")
