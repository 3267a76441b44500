"""The app, in Streamlit."""
