"""``python -m gradcam_cli`` and the ``gradcam`` command."""

from gradcam_cli.cli.entry import main

if __name__ == "__main__":
    main()
